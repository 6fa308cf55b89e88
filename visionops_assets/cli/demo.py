"""`visionops demo`: the whole loop on real media."""

import time
from pathlib import Path
from typing import Annotated

import typer

from visionops_assets.cli.screen import console
from visionops_assets.cli.servers import up
from visionops_assets.settings import load_settings


def demo(
    figures: Annotated[Path, typer.Option(help="File to write the figures to.")] = Path(
        "build/demo.json"
    ),
    drift: Annotated[
        bool,
        typer.Option("--drift", help="Then change the images, and watch the model repair itself."),
    ] = False,
    drift_figures: Annotated[
        Path, typer.Option(help="File to write the figures of --drift to, beside its plot.")
    ] = Path("build/drift.json"),
) -> None:
    """Run the whole loop on real media: upload, train, promote, predict, measure."""
    from visionops_assets.demo.run import run_demo

    started_s = time.monotonic()
    up(only="")
    run_demo(load_settings(), console, figures, started_s, drift_figures if drift else None)
