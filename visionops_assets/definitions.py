"""The table of contents: every stage in the order data flows, and the stages' resources."""

import gc
from typing import Any

import dagster as dg
import yaml

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import SettingsError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.kubernetes_jobs import KubernetesJobs
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tables import RecordIOManager, TableIOManager, TableStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings, let_waiting_threads_sleep, load_settings
from visionops_assets.stages import (
    datasets,
    evaluation,
    frames,
    labels,
    media,
    monitoring,
    serving,
    surroundings,
    training,
)

TRAINER_IMAGE = "$(VISIONOPS_K8S_TRAINER_IMAGE)"
"""Stands for that setting in the file of `k8s_steps_file`, as in Kubernetes' own fields."""
STAGES = (media, frames, labels, datasets, training, evaluation, serving, monitoring)


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
    return found


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


# No run has imported PyTorch yet.
let_waiting_threads_sleep()

definitions = dg.Definitions.merge(
    *(stage.definitions for stage in STAGES),
    surroundings.definitions,
    dg.Definitions(resources=_resources(), executor=executor_of(load_settings())),
)

# Each run imports all of this and drops none of it. Looking for garbage in it took a second, most
# of it at the run's end.
gc.freeze()
