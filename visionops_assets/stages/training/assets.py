"""`trained_model`: a model version trained on one snapshot, registered in MLflow."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.catalog.versions import note_version
from visionops_assets.contracts import Candidate
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import fields_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.training_run import training_run
from visionops_assets.settings import load_settings
from visionops_assets.stages.attempts import SUPERSEDED_TAG
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture, table, trace_command
from visionops_assets.stages.requests import TrainingRequest, check_run
from visionops_assets.stages.training.description import (
    NOTE_TAG,
    SOURCE_TAGS,
    dataset_of,
    origin_of,
    run_name,
)
from visionops_assets.stages.training.request import (
    newer_snapshot,
    wanted_snapshot,
)
from visionops_assets.vision.plots import training_curves

if TYPE_CHECKING:  # It imports PyTorch.
    from visionops_assets.vision.training import TrainedModel

FIELDS = fields_of(
    Candidate,
    {
        "model_name": "Name of the model.",
        "model_version": "Version that MLflow gave it.",
        "mlflow_run_id": "MLflow run with its parameters, curves and weights.",
        "snapshot_id": "Snapshot it was trained on.",
    },
)
ROOT_RUN_TAG = "dagster_root_run_id"


def trained_model_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the trained versions of a model."""

    @dg.asset(
        key=key_of(model, "trained_model"),
        group_name="model",
        io_manager_key="records",
        metadata=shown(FIELDS),
        code_version=code_version("training", model.training),
        deps=[key_of(model, "dataset_snapshot")],
        kinds={"pytorch", "mlflow"},
        owners=OWNERS,
        # An asset without an output is not materialized, and Dagster skips those that need it.
        output_required=False,
    )
    @fail_in_words
    def trained_model(
        context: dg.AssetExecutionContext,
        config: TrainingRequest,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
        tracking: dg.ResourceParam[Tracking],
    ) -> Iterator[dg.MaterializeResult[Candidate]]:
        """Model version trained on a snapshot's training side, registered in MLflow.

        A training that waited while a newer snapshot came ends here: the sensor asks for one on
        that. Its MLflow run holds parameters, curves, `model/model.safetensors` and
        `model/model.json`, whose checksums are tags; the version is tagged with snapshot, spec,
        seed, code version and Dagster run. A retried run takes the version that its first attempt
        registered.
        """
        config.check()
        check_run(context.run.run_config)
        yield from _Training(context, model, config, object_store, tracking).results(catalog)

    return trained_model


@dataclass(frozen=True)
class _Training:
    """A run that trains a model: what it was asked for, and what it works with."""

    context: dg.AssetExecutionContext
    model: ModelDeclaration
    config: TrainingRequest
    object_store: ObjectStore
    tracking: Tracking

    def results(self, catalog: Catalog) -> Iterator[dg.MaterializeResult[Candidate]]:
        """Train, if nothing stands against it, and yield the candidate."""
        context, tracking, model_name = self.context, self.tracking, self.model.name
        with catalog.begin() as session:
            snapshot = wanted_snapshot(session, model_name, self.config.snapshot_id)
            newer = newer_snapshot(session, model_name, self.config)
        origin = {
            ROOT_RUN_TAG: context.run.root_run_id or context.run.run_id,
            "snapshot_id": snapshot.snapshot_id,
        }
        registered = tracking.find_version(model_name, origin)
        if registered:
            context.log.info("Version %d was registered by an earlier attempt", registered[0])
            known = _candidate(model_name, snapshot, *registered)
            yield self._noted(catalog, _result(tracking, known, {}))
            return
        if newer is not None:
            self._end_superseded(snapshot, newer)
            return
        if lost := tracking.end_lost_runs(model_name, origin):
            context.log.info("Ended %d MLflow run(s) of attempts that were killed", lost)
        whereabouts = FramePlaces(catalog)
        yield self._noted(catalog, self._train(snapshot, origin, whereabouts))

    def _noted(
        self, catalog: Catalog, result: dg.MaterializeResult[Candidate]
    ) -> dg.MaterializeResult[Candidate]:
        """Note a registered version in the catalog, where it is traced."""
        with catalog.begin() as session:
            note_version(session, result.value, self.context.run.run_id)
        return result

    def _end_superseded(self, snapshot: Snapshot, newer: Snapshot) -> None:
        """Say in the run, and where the asset's events are shown, why nothing is trained."""
        said = (
            f"Nothing is trained on {snapshot.snapshot_id}: while this run waited, "
            f"{newer.snapshot_id} was cut, and is trained on in its place. For a model of the "
            f"older one: visionops train {self.model.name} --snapshot {snapshot.snapshot_id}"
        )
        context = self.context
        context.log.warning("%s", said)
        context.instance.add_run_tags(context.run.run_id, {SUPERSEDED_TAG: newer.snapshot_id})
        context.log_event(dg.AssetObservation(context.asset_key, description=said))

    def _train(
        self, snapshot: Snapshot, origin: dict[str, str], whereabouts: FramePlaces
    ) -> dg.MaterializeResult[Candidate]:
        """Train within an MLflow run, and register the resulting version."""
        # Importing PyTorch takes two seconds, and most runs do not train.
        from visionops_assets.stages.training import fitting  # noqa: PLC0415

        context, tracking, model = self.context, self.tracking, self.model
        settings = load_settings()
        training = fitting.training_recipe(model.training, self.config)
        tags = origin | {
            "spec_id": snapshot.spec_id,
            "seed": str(training.seed),
            "code_version": version("visionops"),
            "dagster_run_id": context.run.run_id,
        }
        told = origin_of(settings, snapshot, context.run.run_id)
        name = run_name(model.name, snapshot, context.run.run_id)
        noted = tags | SOURCE_TAGS | {NOTE_TAG: told}
        with training_run(tracking, context, model.name, name, noted) as run:
            run.log_dataset(*dataset_of(settings, model.name, snapshot))
            trained = fitting.fit(
                context, run, snapshot, training, self.object_store, whereabouts, model.task
            )
            run.log_params(fitting.parameters(training, trained.budget, snapshot))
            curves = training_curves(trained.history, trained.score)
            fitting.log_model(run, trained, curves)
        score = trained.best.validation_score
        told = f"{told} Validation {trained.score} {score:.4f}."
        registered = tracking.register(model.name, run.run_id, tags, told)
        return _result(
            tracking,
            _candidate(model.name, snapshot, registered, run.run_id),
            {
                "rounds": table(_rounds(trained)),
                "training_curves": picture(curves, "training curves"),
                f"validation_{trained.score}": score,
                "steps": trained.history[-1].step,
                "train_frames": snapshot.train_frames,
            },
        )


def _rounds(trained: "TrainedModel") -> pd.DataFrame:
    rows = [{"step": each.step, **each.measured(trained.score)} for each in trained.history]
    return pd.DataFrame(rows).round(4)


def _candidate(
    model_name: str, snapshot: Snapshot, model_version: int, mlflow_run_id: str
) -> Candidate:
    return Candidate(
        model_name=model_name,
        model_version=model_version,
        mlflow_run_id=mlflow_run_id,
        snapshot_id=snapshot.snapshot_id,
    )


def _result(
    tracking: Tracking, candidate: Candidate, metadata: dict[str, Any]
) -> dg.MaterializeResult[Candidate]:
    page = tracking.version_url(candidate.model_name, candidate.model_version)
    return dg.MaterializeResult(
        value=candidate,
        data_version=dg.DataVersion(f"{candidate.model_name} {candidate.model_version}"),
        metadata={
            "model_version": candidate.model_version,
            "snapshot_id": candidate.snapshot_id,
            "trace": trace_command("model", f"{candidate.model_name}:{candidate.model_version}"),
            "mlflow": dg.MetadataValue.url(page),
            "mlflow_run": dg.MetadataValue.url(tracking.run_url(candidate.mlflow_run_id)),
            **metadata,
        },
    )
