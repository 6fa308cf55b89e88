"""Trains a version again, and compares: equal bit for bit, or in what it differs and why.

Nothing is registered or changed. Imports PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from sqlalchemy.orm import Session
from torch import nn

from visionops_assets.catalog.schema import Snapshot
from visionops_assets.catalog.traced_models import find_version
from visionops_assets.contracts import ModelCard, TolerantRecord
from visionops_assets.errors import NotFoundError
from visionops_assets.lineage.training_records import (
    Difference,
    Recorded,
    conditions_now,
    differences,
    read_recorded,
)
from visionops_assets.resources.snapshot_files import HOLDOUT
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import usable_cores
from visionops_assets.tasks.registry import serving
from visionops_assets.tasks.running import run
from visionops_assets.vision.recipe import RoundResult, TrainingConfig
from visionops_assets.vision.training import TrainedModel

Train = Callable[
    [SnapshotFiles, Snapshot, TrainingConfig, str, Callable[[RoundResult], None]], TrainedModel
]
"""Trains on the files of a snapshot by a recipe for a task, and tells of each round."""
Model = tuple[nn.Module, ModelCard]
"""A network ready to predict, and its card."""


@dataclass(frozen=True)
class Wanted:
    """A version to train again: its snapshot, its MLflow run, and how it was trained."""

    model_name: str
    model_version: int
    snapshot: Snapshot
    mlflow_run_id: str
    recorded: Recorded


class WeightsCompared(TolerantRecord):
    """The weights of two networks: tensors of both, those that differ, the largest difference.

    `largest_difference` is None where it is no number, as between tensors of other shapes.
    """

    tensors: int
    differing: int
    largest_difference: float | None


class Agreement(TolerantRecord):
    """Frames of the holdout, and those to which two models give the same answer."""

    frames: int
    agreed: int


class Reproduction(TolerantRecord):
    """The result: whether weights and card came out equal, and if not, all that may tell why.

    `card` names the fields of the model card that differ, `agreement` is None if nothing does.
    `differences` are of conditions; None: they were not noted when it was trained.
    """

    model_name: str
    model_version: int
    snapshot_id: str
    seed: int
    threads: int
    steps: int
    is_equal: bool
    weights: WeightsCompared
    card: list[str]
    agreement: Agreement | None
    differences: list[Difference] | None


def find_wanted(
    session: Session, tracking: Tracking, model_name: str, model_version: int
) -> Wanted:
    """Find a version, its snapshot, and how it was trained.

    Raises:
        NotFoundError: one of them is unknown or gone.
        DamagedArtifactError: the note of the training is not what was written.
    """
    version = find_version(session, model_name, model_version)
    if version is None:
        raise NotFoundError(
            f"There is no version {model_version} of a model {model_name!r}: "
            "`visionops models versions NAME` lists those of a model."
        )
    snapshot = session.get(Snapshot, version.snapshot_id)
    if snapshot is None:
        raise NotFoundError(
            f"Snapshot {version.snapshot_id} of version {model_version} is gone, and nothing else "
            "says which frames it was trained on."
        )
    run_id = version.mlflow_run_id or tracking.version_run_id(model_name, model_version)
    return Wanted(model_name, model_version, snapshot, run_id, read_recorded(tracking, run_id))


def reproduce(
    wanted: Wanted,
    original: Model,
    data: SnapshotFiles,
    train: Train,
    on_round: Callable[[RoundResult], None],
) -> Reproduction:
    """Train a version again from its snapshot, by its recipe, and compare it with the original.

    `data` is all of the snapshot that is to be had.

    Raises:
        DamagedFramesError: shards turned out to be damaged; nothing is done about it.
    """
    module, card = original
    recipe = wanted.recorded.recipe
    recipe = replace(recipe, threads=recipe.threads or usable_cores())
    trained = train(data, wanted.snapshot, recipe, card.task, on_round)
    weights = compare_weights(module, trained.module)
    of_card = differing_fields(card, trained.card)
    is_equal = weights.differing == 0 and not of_card
    again: Model = (trained.module, trained.card)
    return Reproduction(
        model_name=wanted.model_name,
        model_version=wanted.model_version,
        snapshot_id=wanted.snapshot.snapshot_id,
        seed=recipe.seed,
        threads=recipe.threads or 0,
        steps=trained.history[-1].step,
        is_equal=is_equal,
        weights=weights,
        card=of_card,
        agreement=None if is_equal else _agreement(data, original, again),
        differences=_differences(wanted.recorded, recipe.threads or 0, data.missing),
    )


def compare_weights(one: nn.Module, other: nn.Module) -> WeightsCompared:
    """Compare all tensors of two networks bit for bit; one that only one has differs."""
    ours, theirs = one.state_dict(), other.state_dict()
    names = ours.keys() | theirs.keys()
    changed = [name for name in names if not _is_same(ours.get(name), theirs.get(name))]
    both = [
        (ours[name], theirs[name])
        for name in changed
        if name in ours and name in theirs and ours[name].shape == theirs[name].shape
    ]
    largest = max((_largest(*pair) for pair in both), default=0.0)
    is_number = len(both) == len(changed) and bool(np.isfinite(largest))
    return WeightsCompared(
        tensors=len(names),
        differing=len(changed),
        largest_difference=largest if is_number else None,
    )


def _is_same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return False
    of_one, of_other = one.numpy(), other.numpy()
    return (of_one.dtype, of_one.shape, of_one.tobytes()) == (
        *(of_other.dtype, of_other.shape),
        of_other.tobytes(),
    )


def _largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two tensors of a shape; infinite where one is no number."""
    found = float((one.double() - other.double()).abs().max())
    return found if np.isfinite(found) else float("inf")


def differing_fields(one: ModelCard, other: ModelCard) -> list[str]:
    """Name the fields of two model cards that differ."""
    ours, theirs = one.model_dump(), other.model_dump()
    return [name for name in ours if ours[name] != theirs[name]]


def _differences(recorded: Recorded, threads: int, missing: int) -> list[Difference] | None:
    if recorded.conditions is None:
        return None
    unknown = [
        Difference(about=f"recipe: {name}", then="noted", now=None) for name in recorded.unknown
    ]
    return unknown + differences(recorded.conditions, conditions_now(threads, missing))


def _agreement(data: SnapshotFiles, original: Model, again: Model) -> Agreement:
    """Count the frames of the holdout to which both models give the same answer."""
    rows = np.flatnonzero(data.members["split"] == HOLDOUT)
    task = serving(original[1].task)
    ours, theirs = (
        task.decode(run(module, data.images, card, rows), card)
        for module, card in (original, again)
    )
    agreed = sum(task.agrees(a, b) for a, b in zip(ours, theirs, strict=True))
    return Agreement(frames=len(rows), agreed=agreed)
