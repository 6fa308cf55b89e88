"""`python -m tests.acceptance`: a newcomer's own folder becomes a served model, by default.

Each case has a stack of its own, with no setting changed. The figures go to
`build/acceptance.json`, beside those of cases that were run before.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.acceptance.case import CASES, Figures, run
from tests.stacks import running_stack


def main(
    case: Annotated[str, typer.Option(help="One of them; else all.")] = "",
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path(
        "build/acceptance.json"
    ),
) -> None:
    """Run the cases, write their figures, and fail if a goal is missed."""
    if case and case not in CASES:
        raise typer.BadParameter(f"there is no case {case!r}: choose one of {', '.join(CASES)}")
    console = Console()
    missed = []
    for name in [case] if case else list(CASES):
        figures = run_alone(name)
        keep(name, figures, out)
        console.print(name, figures.as_json())
        if not figures.is_met:
            missed.append(name)
    if missed:
        console.print(f"Missed: {', '.join(missed)}. See {out}.")
        raise typer.Exit(1)


def run_alone(name: str) -> Figures:
    """Run a case on a stack of its own, and remove all of it."""
    home = Path(tempfile.mkdtemp(prefix=f"visionops-acceptance-{name}-"))
    try:
        with running_stack(home / "stack", {}) as settings:
            return run(CASES[name], settings, home / "pictures")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def keep(name: str, figures: Figures, out: Path) -> None:
    """Write the figures of a case among those that are there."""
    known = json.loads(out.read_text()) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(known | {name: figures.as_json()}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
