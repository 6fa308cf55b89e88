"""`trained_model`: a model version trained on one snapshot, registered in MLflow."""

import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import find_snapshot, newest_snapshot
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.contracts import Candidate, PreprocessingSpec
from visionops_assets.errors import NotFoundError, SettingsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import MODEL_FOLDER, Tracking, TrackingRun
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture
from visionops_assets.stages.snapshot_files import TRAIN, read_snapshot
from visionops_assets.vision.architectures import BODIES
from visionops_assets.vision.plots import training_curves
from visionops_assets.vision.training import (
    EpochResult,
    TrainedModel,
    TrainingConfig,
    save_weights,
    train,
)

ROOT_RUN_TAG = "dagster_root_run_id"


class TrainingRequest(dg.Config):
    """Which snapshot to train on, the newest when none is named, and what to change of the recipe.

    `learning_rate` is the peak of the schedule.
    """

    snapshot_id: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None


@dg.asset(
    group_name="training",
    io_manager_key="records",
    deps=["dataset_snapshot"],
    kinds={"pytorch", "mlflow"},
    owners=OWNERS,
)
def trained_model(
    context: dg.AssetExecutionContext,
    config: TrainingRequest,
    catalog: Catalog,
    object_store: ObjectStore,
    tracking: Tracking,
) -> dg.MaterializeResult[Candidate]:
    """Model version trained on a snapshot's training side, registered in MLflow.

    Its MLflow run holds parameters, curves, `model/model.safetensors` and `model/model.json`; the
    version is tagged with snapshot, spec, seed, code version and Dagster run. A run that Dagster
    retries takes the version that its first attempt registered.
    """
    settings = load_settings()
    root_run_id = context.run.root_run_id or context.run_id
    with catalog.begin() as session:
        snapshot = _wanted_snapshot(session, config.snapshot_id)
    origin = {ROOT_RUN_TAG: root_run_id, "snapshot_id": snapshot.snapshot_id}
    registered = tracking.find_version(settings.model_name, origin)
    if registered:
        model_version, mlflow_run_id = registered
        context.log.info("Version %d was registered by an earlier attempt", model_version)
        return _result(_candidate(settings, snapshot, model_version, mlflow_run_id), {})
    training = training_recipe(settings, config)
    tags = origin | {
        "spec_id": snapshot.spec_id,
        "seed": str(training.seed),
        "code_version": version("visionops"),
        "dagster_run_id": context.run_id,
    }
    with tracking.run(settings.model_name, tags) as run:
        run.log_params(vars(training) | {"snapshot_id": snapshot.snapshot_id})
        trained = _train(context, run, snapshot, training, object_store)
        curves = training_curves(trained.history)
        _log_model(run, trained, curves)
    model_version = tracking.register(settings.model_name, run.run_id, tags)
    last = trained.history[-1]
    return _result(
        _candidate(settings, snapshot, model_version, run.run_id),
        {
            "training_curves": picture(curves, "training curves"),
            "validation_accuracy": last.validation_accuracy,
            "train_frames": snapshot.train_frames,
            "mlflow": dg.MetadataValue.url(
                f"{settings.mlflow_tracking_uri}/#/models/{settings.model_name}"
                f"/versions/{model_version}"
            ),
        },
    )


def training_recipe(settings: Settings, request: TrainingRequest) -> TrainingConfig:
    """Return the recipe that the settings ask for, and the request where it says otherwise.

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
        epochs=settings.training_epochs if request.epochs is None else request.epochs,
        seed=settings.training_seed,
    )
    if request.learning_rate is None:
        return recipe
    return replace(recipe, learning_rate=request.learning_rate)


def _wanted_snapshot(session: Session, snapshot_id: str | None) -> Snapshot:
    snapshot = find_snapshot(session, snapshot_id) if snapshot_id else newest_snapshot(session)
    if snapshot is None:
        raise NotFoundError(
            f"There is no snapshot {snapshot_id!r}."
            if snapshot_id
            else "There is no dataset snapshot yet: materialize dataset_snapshot first."
        )
    return snapshot


def _train(
    context: dg.AssetExecutionContext,
    run: TrackingRun,
    snapshot: Snapshot,
    training: TrainingConfig,
    object_store: ObjectStore,
) -> TrainedModel:
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


def _log_model(run: TrackingRun, trained: TrainedModel, curves: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)
        save_weights(trained.module, folder / "model.safetensors")
        (folder / "model.json").write_text(trained.card.model_dump_json(indent=2))
        (folder / "training_curves.png").write_bytes(curves)
        run.log_file(folder / "model.safetensors", MODEL_FOLDER)
        run.log_file(folder / "model.json", MODEL_FOLDER)
        run.log_file(folder / "training_curves.png", "plots")


def _candidate(
    settings: Settings, snapshot: Snapshot, model_version: int, mlflow_run_id: str
) -> Candidate:
    return Candidate(
        model_name=settings.model_name,
        model_version=model_version,
        mlflow_run_id=mlflow_run_id,
        snapshot_id=snapshot.snapshot_id,
    )


def _result(candidate: Candidate, metadata: dict[str, Any]) -> dg.MaterializeResult[Candidate]:
    return dg.MaterializeResult(
        value=candidate,
        metadata={
            "model_version": candidate.model_version,
            "snapshot_id": candidate.snapshot_id,
            **metadata,
        },
    )
