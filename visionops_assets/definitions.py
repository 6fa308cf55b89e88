"""The table of contents: every stage in the order data flows, and the stages' resources."""

import gc

import dagster as dg
import yaml

from visionops_assets.catalog.connection import Catalog
from visionops_assets.resources.broker import Broker
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

STAGES = (media, frames, labels, datasets, training, evaluation, serving, monitoring)


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    if settings.executor == "k8s":
        # Every run imports this module; importing Kubernetes' client takes half a second.
        from dagster_k8s import k8s_job_executor  # noqa: PLC0415

        file = settings.k8s_steps_file
        steps = yaml.safe_load(file.read_text()) if file else {}
        return k8s_job_executor.configured({"per_step_k8s_config": steps})
    executors = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    return executors[settings.executor]


def _resources() -> dict[str, object]:
    s3 = TableStore()
    return {
        "catalog": Catalog(),
        "object_store": ObjectStore(),
        "broker": Broker(),
        "tracking": Tracking(),
        "triton": TritonServer(),
        "tables": TableIOManager(s3=s3),
        "records": RecordIOManager(s3=s3),
    }


# No run has imported PyTorch yet.
let_waiting_threads_sleep()

definitions = dg.Definitions.merge(
    *(stage.definitions for stage in STAGES),
    surroundings.definitions,
    dg.Definitions(resources=_resources(), executor=_executor(load_settings())),
)

# Each run imports all of this and drops none of it. Looking for garbage in it took a second, most
# of it at the run's end.
gc.freeze()
