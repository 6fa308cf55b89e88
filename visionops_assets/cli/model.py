"""`visionops predict | demo`: the served model, and the whole loop around it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.models import standing_of
from visionops_assets.cli.screen import AsJson, console, print_fact
from visionops_assets.cli.servers import up
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.errors import MediaError
    from visionops_assets.resources.triton import Answer

POLL_S = 3.0
"""Between two questions of one who waits for a model."""


def predict(
    files: Annotated[
        list[Path], typer.Argument(help="Image files.", exists=True, dir_okay=False, readable=True)
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until a model serves, and tell what happens.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the served model for its answer to images. The exit code is 2 if one cannot be used."""
    from visionops_assets.errors import MediaError

    answers = _answers([path.read_bytes() for path in files], is_patient=wait)
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
        print_fact(row, as_json, "{label:>12}  {probability:.4f}  {file}".format_map(row))
    if any(isinstance(answer, MediaError) for answer in answers):
        raise typer.Exit(2)


def _answers(images: list[bytes], *, is_patient: bool) -> "list[Answer | MediaError]":
    """Ask for answers; a patient one asks until a model serves, or until that needs a person."""
    from visionops_assets.catalog.next_steps import is_on_its_way, why_nothing_serves
    from visionops_assets.errors import NoModelServedError
    from visionops_assets.resources.triton import TritonServer

    told = ""
    while True:
        try:
            return TritonServer().predict_each(load_settings().model_name, images)
        except NoModelServedError as error:
            standing = standing_of(None)
            said = why_nothing_serves(standing)
            if not is_patient or not is_on_its_way(standing):
                reason = said if standing.champion_version is None else str(error)
                raise NoModelServedError(reason) from None
        if said != told:
            typer.echo(f"{time.strftime('%H:%M:%S')}  {said}", err=True)
            told = said
        time.sleep(POLL_S)


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
