"""Trains on a snapshot, and keeps what came of it. Imports PyTorch: for runs that train, alone."""

import tempfile
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np

from visionops_assets.catalog.schema import Snapshot
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import SettingsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import MODEL_FOLDER, TrackingRun
from visionops_assets.settings import Settings
from visionops_assets.stages.snapshot_files import TRAIN, read_snapshot
from visionops_assets.vision.architectures import BODIES
from visionops_assets.vision.training import (
    EpochResult,
    TrainedModel,
    TrainingConfig,
    save_weights,
    train,
)


def training_recipe(
    settings: Settings, epochs: int | None = None, learning_rate: float | None = None
) -> TrainingConfig:
    """Return the recipe that the settings ask for, with what is given in the place of theirs.

    Raises:
        SettingsError: no such architecture.
    """
    if settings.training_architecture not in BODIES:
        raise SettingsError(
            f"There is no architecture {settings.training_architecture!r}: set "
            f"VISIONOPS_TRAINING_ARCHITECTURE to one of {', '.join(BODIES)}."
        )
    recipe = TrainingConfig(
        architecture=settings.training_architecture,
        epochs=settings.training_epochs if epochs is None else epochs,
        seed=settings.training_seed,
    )
    return recipe if learning_rate is None else replace(recipe, learning_rate=learning_rate)


def fit(
    context: dg.AssetExecutionContext,
    run: TrackingRun,
    snapshot: Snapshot,
    training: TrainingConfig,
    object_store: ObjectStore,
) -> TrainedModel:
    """Train on a snapshot's training side, with each epoch in the log and in MLflow."""
    data = read_snapshot(object_store, snapshot.snapshot_id).side(TRAIN)
    context.log.info("Training on %d frames of %s", len(data.images), snapshot.snapshot_id)

    def report(epoch: EpochResult) -> None:
        context.log.info("%s", epoch)
        metrics = {k: v for k, v in vars(epoch).items() if k != "epoch"}
        run.log_metrics(metrics, step=epoch.epoch)

    return train(
        data.images,
        data.members["label_index"].to_numpy(dtype=np.int64),
        groups=list(data.members["group_id"]),
        classes=tuple(snapshot.classes),
        spec=PreprocessingSpec.model_validate(snapshot.spec),
        snapshot_id=snapshot.snapshot_id,
        config=training,
        on_epoch=report,
    )


def log_model(run: TrackingRun, trained: TrainedModel, curves: bytes) -> None:
    """Keep weights, card and curves in the MLflow run."""
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)
        save_weights(trained.module, folder / "model.safetensors")
        (folder / "model.json").write_text(trained.card.model_dump_json(indent=2))
        (folder / "training_curves.png").write_bytes(curves)
        run.log_file(folder / "model.safetensors", MODEL_FOLDER)
        run.log_file(folder / "model.json", MODEL_FOLDER)
        run.log_file(folder / "training_curves.png", "plots")
