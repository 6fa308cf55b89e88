"""`python -m tests.hosts.inside`: the run itself, started by `launching` in the network."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.hosts.launching import names_in
from tests.hosts.network import Network
from tests.hosts.report import write
from tests.hosts.run import LONG, SHORT, run


def main(
    network: str,
    home: Path,
    out: Annotated[Path, typer.Option()],
    seconds: Annotated[float, typer.Option(help="0 is the short form.")] = 0,
) -> None:
    """Run in the network of this name."""
    console = Console()
    plan = replace(LONG, seconds=seconds) if seconds else SHORT
    outcome = run(plan, Network(network), names_in(home), home, console)
    write(outcome.report, out)
    console.print(outcome.report)
    for violation in outcome.violations:
        console.print(f"{violation.harm}: {violation.subject}: {violation.evidence}", markup=False)
    if outcome.violations:
        console.print(f"{len(outcome.violations)} violations.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
