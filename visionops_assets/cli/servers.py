"""`visionops up | down | status | logs`: the servers of this machine."""

from typing import Annotated

import typer

from visionops_assets.cli import failures, models
from visionops_assets.cli.root import INTERRUPTED
from visionops_assets.cli.screen import AsJson, console, print_json
from visionops_assets.errors import StackError, VisionOpsError
from visionops_assets.settings import settings_home
from visionops_assets.stack import control, view
from visionops_assets.stack.paths import Paths, tail
from visionops_assets.stack.state import USABLE, StackState

CATALOG = "postgresql"


def up(
    only: Annotated[
        str,
        typer.Option(
            help="Start only these servers and those they need; separate names by commas."
        ),
    ] = "",
) -> None:
    """Start the servers on this machine, and wait until they are ready.

    Their data, logs and generated passwords are kept in the folder that VISIONOPS_HOME names, by
    default .visionops in the current folder. `visionops env` prints their addresses for a shell.
    """
    names = frozenset(name.strip() for name in only.split(",") if name.strip())
    try:
        with view.live_table(console) as watch:
            state = control.start(settings_home(), names, watch)
    except KeyboardInterrupt:
        typer.echo("visionops: The servers go on starting; `visionops down` ends them.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    console.print(view.address_table(state))


def down() -> None:
    """Stop the servers. Their data stays."""
    with view.live_table(console) as watch:
        was_running = control.stop(settings_home(), watch)
    console.print("Stopped." if was_running else "Nothing was running.")


def status(
    as_json: AsJson = False,
) -> None:
    """Show whether all is well, which version serves, what waits, the servers and their addresses.

    The exit code is 1 if a server is not ready.
    """
    home = settings_home()
    state = control.look(home)
    if state is None:
        raise StackError(failures.advice())
    model, waiting = _work(state)
    # It may be that a database that hangs was asked.
    state = control.look(home) or state
    summary = view.summary(state)
    if as_json:
        said = {"summary": summary, "model": model, "waiting": waiting}
        print_json(said | state.model_dump(mode="json"))
    else:
        for sentence in filter(None, (summary, model, *waiting)):
            typer.echo(sentence)
        for table in (view.status_table(state), view.address_table(state)):
            console.print()
            console.print(table)
        typer.echo("\nTo see the log of a server: `visionops logs SERVER`.")
    raise typer.Exit(0 if state.is_ready else 1)


def _work(state: StackState) -> tuple[str | None, list[str]]:
    """Say what serves and what waits; nothing if the catalog cannot be read."""
    catalog = next((server for server in state.servers if server.name == CATALOG), None)
    if catalog is None or catalog.status not in USABLE:
        return None, []
    from sqlalchemy.exc import SQLAlchemyError

    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.waiting import read_what_waits

    try:
        model = models.in_one_sentence()
        with Catalog().begin() as session:
            return model, read_what_waits(session)
    except (VisionOpsError, SQLAlchemyError):
        # Before an upgrade has migrated the catalog, too: the servers must be shown.
        return None, []


def logs(
    server: Annotated[
        str, typer.Argument(help="The name of a server, or supervisor.")
    ] = "supervisor",
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="Number of lines to show.")
    ] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines.")] = False,
) -> None:
    """Show the last lines of a server's log."""
    log = Paths(settings_home()).log(server)
    if not log.exists():
        known = ", ".join(sorted(path.stem for path in log.parent.glob("*.log")))
        others = f"There are: {known}." if known else failures.advice()
        raise StackError(f"There is no log of {server}. {others}")
    for line in view.follow(log, lines) if follow else tail(log, lines):
        typer.echo(line)
