"""`python -m tests.chaos`: a long run, whose figures go into `build/chaos.json`."""

import random
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.harness import Plan, run
from tests.chaos.report import write


def main(
    seed: Annotated[int | None, typer.Option(help="Of the run; else one is drawn.")] = None,
    uploads: Annotated[int, typer.Option(help="Media files to be acknowledged, at least.")] = 2_000,
    kills: Annotated[int, typer.Option(help="Processes to kill or stop.")] = 100,
    calm_s: Annotated[float, typer.Option(help="Mean time between two waves of kills.")] = 7.0,
    settled_s: Annotated[float, typer.Option(help="How long a process is let be.")] = 5.0,
    stopped_s: Annotated[float, typer.Option(help="How long one is stopped.")] = 75.0,
    patience_s: Annotated[
        float,
        typer.Option(help="How long a process may take to be back, or to pass a crash point."),
    ] = 1_800.0,
    fills: Annotated[int, typer.Option(help="How often the store's disk is filled.")] = 1,
    cuts: Annotated[int, typer.Option(help="How often the log of the queue is cut.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build/chaos.json"),
) -> None:
    """Kill and stop every process of a stack under load; check that nothing is lost or doubled."""
    console = Console()
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    home = Path(tempfile.mkdtemp(prefix="visionops-chaos-"))
    console.print(f"Seed {seed}; the stack is in {home}.")
    outcome = run(
        Plan(
            seed,
            uploads,
            kills,
            calm_s,
            settled_s,
            stopped_s,
            fills,
            cuts=cuts,
            patience_s=patience_s,
        ),
        home,
        console,
    )
    write(outcome.report, out)
    for violation in outcome.violations:
        console.print(f"{violation.harm}: {violation.subject}: {violation.evidence}", markup=False)
    console.print(outcome.report)
    if outcome.violations:
        console.print(f"{len(outcome.violations)} violations. All of it is kept in {home}.")
        raise typer.Exit(1)
    shutil.rmtree(home)


if __name__ == "__main__":
    typer.run(main)
