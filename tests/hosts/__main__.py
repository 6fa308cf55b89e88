"""`python -m tests.hosts`: a long run, whose figures go into `build/multi.json`."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.hosts.launching import launch, new_home
from tests.hosts.network import why_not


def main(
    seconds: Annotated[
        float, typer.Option(help="Length of the load, in whole rounds; 0 is the short form.")
    ] = 300,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build/multi.json"),
) -> None:
    """Kill pods and hosts under load, and check that nothing is lost and no request fails."""
    console = Console()
    if reason := why_not():
        console.print(reason)
        raise typer.Exit(2)
    # An end that is asked for cleans up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = new_home()
    exit_code = launch(home, "--out", str(out.resolve()), "--seconds", str(seconds))
    if exit_code:
        console.print(f"It ended with {exit_code}. All of it is kept in {home}.")
        raise typer.Exit(1)
    shutil.rmtree(home)


if __name__ == "__main__":
    typer.run(main)
