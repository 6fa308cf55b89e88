"""`visionops ...`: the commands. Each says what it does and leaves the doing to its room."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from visionops_assets.errors import StackError, VisionOpsError
from visionops_assets.settings import load_settings, settings_home
from visionops_assets.stack import control, view
from visionops_assets.stack.paths import Paths, tail

app = typer.Typer(
    help="Media in, a served model out.", no_args_is_help=True, pretty_exceptions_enable=False
)
# A table that is piped somewhere keeps its columns.
console = Console(width=None if sys.stdout.isatty() else 200)


@app.command()
def up(
    only: Annotated[
        str, typer.Option(help="Start only these, and what they need: names, by commas.")
    ] = "",
) -> None:
    """Start the servers of this machine and wait until they are ready."""
    names = frozenset(name.strip() for name in only.split(",") if name.strip())
    with view.live_table(console) as watch:
        state = control.start(settings_home(), names, watch)
    for server in state.servers:
        if server.address.startswith("http"):
            console.print(f"{server.name:18} {server.address}")


@app.command()
def down() -> None:
    """Stop the servers. Their data stays."""
    with view.live_table(console) as watch:
        was_running = control.stop(settings_home(), watch)
    console.print("Stopped." if was_running else "Nothing was running.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Show the servers. The exit code is 0 if all are ready, else 1."""
    state = control.look(settings_home())
    if state is None:
        raise StackError("There is no stack here yet. Run `visionops up`.")
    if as_json:
        typer.echo(state.model_dump_json(indent=2))
    else:
        console.print(view.status_table(state))
    raise typer.Exit(0 if state.is_ready else 1)


@app.command()
def logs(
    server: Annotated[str, typer.Argument(help="A server, or the supervisor.")] = "supervisor",
    lines: Annotated[int, typer.Option("-n", min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", help="Go on with new lines.")] = False,
) -> None:
    """Show the log of a server."""
    log = Paths(settings_home()).log(server)
    if not log.exists():
        known = ", ".join(sorted(path.stem for path in log.parent.glob("*.log"))) or "none yet"
        raise StackError(f"There is no log of `{server}`. There are: {known}.")
    for line in view.follow(log, lines) if follow else tail(log, lines):
        typer.echo(line)


@app.command()
def predict(
    files: Annotated[
        list[Path], typer.Argument(help="Images.", exists=True, dir_okay=False, readable=True)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Ask the served model what images show, over gRPC. Exit code 2 if one cannot be used."""
    from visionops_assets.errors import MediaError
    from visionops_assets.resources.triton import TritonServer

    images = [path.read_bytes() for path in files]
    answers = TritonServer().predict_each(load_settings().model_name, images)
    for path, answer in zip(files, answers, strict=True):
        if isinstance(answer, MediaError):
            typer.echo(f"visionops: {path}: {answer.code}: {answer}", err=True)
            continue
        row = {
            "file": str(path),
            "label": answer.label,
            "probability": round(max(answer.probabilities), 6),
            "model_version": answer.model_version,
            "prediction_id": str(answer.prediction_id),
        }
        if as_json:
            typer.echo(json.dumps(row))
        else:
            console.print("{label:>12}  {probability:.4f}  {file}".format_map(row))
    if any(isinstance(answer, MediaError) for answer in answers):
        raise typer.Exit(2)


@app.command()
def demo(
    figures: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build/demo.json"),
) -> None:
    """Run the whole loop on real media: upload, train, release, predict, measure."""
    from visionops_assets.demo.run import run_demo

    started_s = time.monotonic()
    up(only="")
    run_demo(load_settings(), console, figures, started_s)


def main() -> None:
    """Run the command line. What a user may see is a message, never a stack trace."""
    try:
        app()
    except (VisionOpsError, OSError) as error:
        typer.echo(f"visionops: {error}", err=True)
        sys.exit(2)
