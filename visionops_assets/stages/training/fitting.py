"""Trains on a snapshot, and keeps the results. Imports PyTorch, so only training runs import it."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from visionops_assets.catalog.schema import Snapshot
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.tensors import IDENTITY
from visionops_assets.lineage.training_records import FOLDER, conditions_now, write_record
from visionops_assets.models.sections import Training
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import TRAIN, labels_of
from visionops_assets.resources.snapshot_reading import SnapshotFiles, on_whole_frames
from visionops_assets.resources.tracking import MODEL_FOLDER
from visionops_assets.resources.training_run import TrainingRun
from visionops_assets.settings import usable_cores
from visionops_assets.stages.model_files import FILES, WEIGHTS_FILE, checksums_in
from visionops_assets.stages.requests import TrainingRequest
from visionops_assets.tasks.registry import judging
from visionops_assets.tasks.running import lesson_of
from visionops_assets.tasks.signature import signature_of
from visionops_assets.vision.inference import save_weights
from visionops_assets.vision.places import Whereabouts
from visionops_assets.vision.recipe import Budget, RoundResult, TrainingConfig
from visionops_assets.vision.training import TrainedModel, train


def training_recipe(declared: Training, request: TrainingRequest) -> TrainingConfig:
    """Return the declared recipe, with the changes of the request."""
    recipe = TrainingConfig(
        architecture=request.network or declared.network,
        steps=request.steps or declared.steps,
        augmentation=declared.augment,
        seed=declared.seed,
        # The same number in a Dagster run as by hand, whatever limits the process was started with.
        threads=usable_cores(),
    )
    rate = request.learning_rate or declared.learning_rate
    return replace(recipe, learning_rate=rate) if rate else recipe


def parameters(training: TrainingConfig, budget: Budget, snapshot: Snapshot) -> dict[str, Any]:
    """Return all parameters of a training, flat, for MLflow."""
    recipe = asdict(training) | asdict(budget)
    del recipe["augmentation"]
    changes = {f"augment_{name}": value for name, value in training.augmentation}
    return recipe | changes | {"snapshot_id": snapshot.snapshot_id}


def fit(
    context: dg.AssetExecutionContext,
    run: TrainingRun,
    snapshot: Snapshot,
    training: TrainingConfig,
    object_store: ObjectStore,
    whereabouts: Whereabouts,
    task: str,
) -> TrainedModel:
    """Train a model of a task on a snapshot, with each round in the log and in MLflow.

    Frames of shards that turn out to be damaged are left out: it begins anew without them.
    """
    score = lesson_of(task).learning.score

    def report(reached: RoundResult) -> None:
        context.log.info(
            "Step %d: validation %s %.4f, loss %.4f; training loss %.4f; %.1f s",
            *(reached.step, score, reached.validation_score, reached.validation_loss),
            *(reached.train_loss, reached.seconds),
        )
        run.log_metrics(reached.measured(score), step=reached.step)

    def work(data: SnapshotFiles) -> TrainedModel:
        context.log.info("Training on %s", snapshot.snapshot_id)
        log_record(run, training, data.missing)
        return train_on(data, snapshot, training, task, report)

    return on_whole_frames(
        object_store, snapshot.snapshot_id, whereabouts, work, context.log.warning
    )


def train_on(
    data: SnapshotFiles,
    snapshot: Snapshot,
    training: TrainingConfig,
    task: str,
    report: Callable[[RoundResult], None],
) -> TrainedModel:
    """Train a model of a task on the training side of a snapshot, and report each round."""
    rows = np.flatnonzero(data.members["split"] == TRAIN)
    members = data.members.iloc[rows]
    classes = tuple(snapshot.classes)
    return train(
        lesson_of(task),
        data.images,
        judging(task).targets(labels_of(members, task), classes),
        groups=list(members["group_id"]),
        classes=classes,
        spec=PreprocessingSpec.model_validate(snapshot.spec),
        snapshot_id=snapshot.snapshot_id,
        config=training,
        on_round=report,
        rows=rows,
    )


def log_model(run: TrainingRun, trained: TrainedModel, curves: bytes) -> None:
    """Keep weights, card, signature and curves in the MLflow run."""
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)
        save_weights(trained.module, folder / WEIGHTS_FILE)
        (folder / CARD_FILE).write_text(trained.card.model_dump_json(indent=2))
        (folder / "training_curves.png").write_bytes(curves)
        for file in FILES:
            run.log_file(folder / file, MODEL_FOLDER)
        run.tag(checksums_in(folder))
        run.log_file(folder / "training_curves.png", "plots")
        signature = signature_of(trained.card)
        described = [each for each in signature.served if each not in IDENTITY]
        run.log_interface([signature.image], described, folder)


def log_record(run: TrainingRun, training: TrainingConfig, missing: int) -> None:
    """Keep the recipe and the conditions in the MLflow run, for `visionops reproduce`.

    `missing` members of the snapshot were not to be had.
    """
    conditions = conditions_now(training.threads or usable_cores(), missing)
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        run.log_file(write_record(training, conditions, Path(name)), FOLDER)
    run.tag({"code_sha256": conditions.code_sha256, "lock_sha256": conditions.lock_sha256})
