"""`python -m tests.scale`: figures into `build/scale-AREA.json`; of media with a picture."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from tests.scale import data
from tests.scale.figures import Figures
from tests.scale.media import run
from tests.scale.plot import plot
from tests.scale.watching import Sample, tick_ms
from tests.stacks import running_stack

ONLY = {"data": ("--only", "gateway")}
"""Servers of an area; all of a stack if nothing is said."""


def main(
    area: Annotated[
        Literal["media", "data"], typer.Option(help="What there is much of.")
    ] = "media",
    count: Annotated[int, typer.Option(min=30, help="Files to import.")] = 100_000,
    edge: Annotated[int, typer.Option(min=10, help="Files of the first and last part.")] = 10_000,
    rows: Annotated[int, typer.Option(min=2_000, help="Of data: frames to make.")] = 1_000_000,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build"),
) -> None:
    """Run on a stack of its own, with no setting changed; fail if a goal is missed."""
    console = Console()
    home = Path(tempfile.mkdtemp(prefix=f"visionops-scale-{area}-"))

    def show(seen: Sample) -> None:
        console.print(f"{seen.stored:,} acknowledged, {seen.processed:,} processed of {count:,}")

    figures: Figures | data.DataFigures
    out.mkdir(parents=True, exist_ok=True)
    try:
        with running_stack(home / "stack", {}, *ONLY.get(area, ())) as settings:
            if area == "data":
                figures = data.run(settings, home, rows)
            else:
                sizes = [edge, count - 2 * edge, edge]
                figures, samples = run(settings, home / "pictures", sizes, show)
                (out / f"scale-{area}.png").write_bytes(plot(samples, tick_ms(settings)))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    (out / f"scale-{area}.json").write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    console.print(figures.as_json())
    if figures.missed:
        console.print(f"Missed: {'; '.join(figures.missed)}.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
