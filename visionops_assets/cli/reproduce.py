"""`visionops reproduce MODEL VERSION`: a version trained again, and compared with what it was."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from visionops_assets.cli.root import CHECK_SAYS_NO
from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.contracts.base import MAX_INTEGER

if TYPE_CHECKING:
    from visionops_assets.lineage.reproducing import Reproduction
    from visionops_assets.vision.recipe import RoundResult

SHOWN = 10
"""Differences of conditions that are shown to people; `--json` has all."""
# Progress is for people: standard output holds the result alone.
_side_console = Console(stderr=True, highlight=False)


def reproduce(
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    version: Annotated[
        int, typer.Argument(min=1, max=MAX_INTEGER, help="Its version.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Train a version again on the CPU as it was trained, and compare; exit 1 if it differs."""
    result = _reproduced(model, version)
    print_fact(result, as_json, *sentences(result))
    if not result.is_equal:
        raise typer.Exit(CHECK_SAYS_NO)


def _reproduced(model: str, version: int) -> "Reproduction":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.frame_places import FramePlaces
    from visionops_assets.lineage.reproducing import find_wanted, reproduce
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.resources.snapshot_reading import read_snapshot
    from visionops_assets.resources.tracking import Tracking
    from visionops_assets.stages.model_files import download_model
    from visionops_assets.stages.training.fitting import train_on

    tracking, catalog = Tracking(), Catalog()
    with catalog.begin() as session:
        wanted = find_wanted(session, tracking, model, version)
    with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
        original = download_model(tracking, wanted.mlflow_run_id, Path(folder))
    snapshot = wanted.snapshot
    data = read_snapshot(ObjectStore(), snapshot.snapshot_id, FramePlaces(catalog))
    if data.missing:
        _side_console.print(
            f"{data.missing:,} members of {snapshot.snapshot_id} are left out: their frames were "
            "forgotten, or are made anew."
        )
    _side_console.print(
        f"Training version {version} of {model} again, on {snapshot.train_frames:,} frames of "
        f"{snapshot.snapshot_id}, with seed {wanted.recorded.recipe.seed}"
    )
    return reproduce(wanted, original, data, train_on, _tell)


def _tell(reached: "RoundResult") -> None:
    _side_console.print(
        f"  step {reached.step}: validation score {reached.validation_score:.4f}, loss "
        f"{reached.validation_loss:.4f}; {reached.seconds:.1f} s"
    )


def sentences(result: "Reproduction") -> list[str]:
    """Say the result to people."""
    which = f"Version {result.model_version} of {result.model_name}"
    by = (
        f"trained again on {result.snapshot_id} with seed {result.seed}, {result.threads} threads "
        f"and {result.steps} steps"
    )
    if result.is_equal:
        said = [f"{which} is equal bit for bit, all {result.weights.tensors} tensors: {by}."]
    else:
        said = [f"{which} differs, {by}.", *_differs(result)]
    return said + _conditions(result)


def _differs(result: "Reproduction") -> list[str]:
    weights, said = result.weights, []
    if weights.differing:
        largest = weights.largest_difference
        by = "not to be compared" if largest is None else f"by {largest:.3g} at most"
        said = [f"Weights: {weights.differing} of {weights.tensors} tensors differ, {by}."]
    if result.card:
        said.append(f"Model card: {', '.join(result.card)} differ.")
    if (found := result.agreement) is not None and found.frames:
        share = f"{found.agreed:,} of {found.frames:,} ({found.agreed / found.frames:.1%})"
        said.append(f"Frames of the holdout with the same answer: {share}.")
    return said


def _conditions(result: "Reproduction") -> list[str]:
    found = result.differences
    if found is None:
        return ["It was trained before its conditions were noted: what they were is not known."]
    if not found:
        why = "" if result.is_equal else " Then the data or this machine decide."
        return [f"All conditions are as they were noted.{why}"]
    said = [f"{each.about}: {each.then or '-'} then, {each.now or '-'} here" for each in found]
    more = len(found) - SHOWN
    return said[:SHOWN] + ([f"and {more} more: --json"] if more > 0 else [])
