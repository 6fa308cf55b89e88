"""The table of contents: what all models share, what each has of its own, and the resources."""

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import yaml

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import SettingsError
from visionops_assets.models import ModelDeclaration, load_models
from visionops_assets.models.naming import dagster_name
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.kubernetes_jobs import KubernetesJobs
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tables import RecordIOManager, TableIOManager, TableStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings, let_waiting_threads_sleep, load_settings
from visionops_assets.stages import frames, media, monitoring, surroundings
from visionops_assets.stages.model_stages import definitions_of

PER_STEP = "per_step_k8s_config"
TRAINER_IMAGE = "$(VISIONOPS_K8S_TRAINER_IMAGE)"
"""Stands for that setting in the file of `k8s_steps_file`, as in Kubernetes' own fields."""


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor that the settings name, for Kubernetes with what its steps get.

    Raises:
        SettingsError: steps are to have an image that no setting names.
    """
    if settings.executor == "k8s":
        # Every run imports this module; importing Kubernetes' client takes half a second.
        from dagster_k8s import k8s_job_executor  # noqa: PLC0415

        return k8s_job_executor.configured(_of_steps(settings))
    executors = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    return executors[settings.executor]


def _of_steps(settings: Settings) -> dict[str, Any]:
    if settings.k8s_steps_file is None:
        return {}
    text = settings.k8s_steps_file.read_text()
    if TRAINER_IMAGE in text and not settings.k8s_trainer_image:
        raise SettingsError(
            f"{settings.k8s_steps_file} names {TRAINER_IMAGE}, and that setting is empty. Set it "
            "to the image of deploy/images/trainer.Dockerfile."
        )
    found: dict[str, Any] = yaml.safe_load(text.replace(TRAINER_IMAGE, settings.k8s_trainer_image))
    return found | {PER_STEP: _of_each_model(found.get(PER_STEP, {}))}


def _of_each_model(by_asset: Mapping[str, Any]) -> dict[str, Any]:
    """Name the steps of all models: the file names assets without a model."""
    steps = [(model, asset) for model in load_models() for asset in by_asset]
    return {
        **by_asset,
        **{dagster_name(model.name, asset): by_asset[asset] for model, asset in steps},
    }


def _resources() -> dict[str, object]:
    s3 = TableStore()
    return {
        "catalog": Catalog(),
        "object_store": ObjectStore(),
        "broker": Broker(),
        "tracking": Tracking(),
        "triton": TritonServer(),
        "kubernetes_jobs": KubernetesJobs(),
        "tables": TableIOManager(s3=s3),
        "records": RecordIOManager(s3=s3),
    }


def definitions_for(models: Sequence[ModelDeclaration]) -> dg.Definitions:
    """Return all that Dagster is given, for some declared models."""
    return dg.Definitions.merge(
        media.definitions,
        frames.shared(models),
        *map(definitions_of, models),
        monitoring.shared(models),
        surroundings.shared(models),
        dg.Definitions(resources=_resources(), executor=executor_of(load_settings())),
    )


# No run has imported PyTorch yet.
let_waiting_threads_sleep()

definitions = definitions_for(load_models())

# Each run imports all of this and drops none of it. Looking for garbage in it took a second, most
# of it at the run's end.
gc.freeze()
