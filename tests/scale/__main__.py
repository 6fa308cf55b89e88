"""`python -m tests.scale`: figures into `build/scale-AREA.json`, and a picture beside them."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from tests.scale.media import run
from tests.scale.plot import plot
from tests.scale.watching import Sample, tick_ms
from tests.stacks import running_stack


def main(
    area: Annotated[Literal["media"], typer.Option(help="What there is much of.")] = "media",
    count: Annotated[int, typer.Option(min=30, help="Files to import.")] = 100_000,
    edge: Annotated[int, typer.Option(min=10, help="Files of the first and last part.")] = 10_000,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build"),
) -> None:
    """Run the loop on a stack of its own, with no setting changed; fail if a goal is missed."""
    console = Console()
    home = Path(tempfile.mkdtemp(prefix=f"visionops-scale-{area}-"))

    def show(seen: Sample) -> None:
        console.print(f"{seen.stored:,} acknowledged, {seen.processed:,} processed of {count:,}")

    try:
        with running_stack(home / "stack", {}) as settings:
            sizes = [edge, count - 2 * edge, edge]
            figures, samples = run(settings, home / "pictures", sizes, show)
            picture = plot(samples, tick_ms(settings))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"scale-{area}.json").write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    (out / f"scale-{area}.png").write_bytes(picture)
    console.print(figures.as_json())
    if figures.missed:
        console.print(f"Missed: {'; '.join(figures.missed)}.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
