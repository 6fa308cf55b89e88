"""The table of contents: every stage in the order data flows, and what the stages run on."""

import dagster as dg
import yaml
from dagster_aws.s3 import S3Resource

from visionops_assets.catalog.connection import Catalog
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tables import RecordIOManager, TableIOManager
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages import (
    datasets,
    evaluation,
    frames,
    labels,
    media,
    monitoring,
    serving,
    training,
)

STAGES = (media, frames, labels, datasets, training, evaluation, serving, monitoring)


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    if settings.executor == "k8s":
        # Every run imports this module; Kubernetes' client is half a second of that.
        from dagster_k8s import k8s_job_executor  # noqa: PLC0415

        file = settings.k8s_steps_file
        steps = yaml.safe_load(file.read_text()) if file else {}
        return k8s_job_executor.configured({"per_step_k8s_config": steps})
    executors = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    return executors[settings.executor]


def _resources(settings: Settings) -> dict[str, object]:
    has_keys = settings.s3_access_key_id is not None
    s3 = S3Resource(
        endpoint_url=settings.s3_endpoint_url or None,
        region_name=settings.s3_region,
        # By name, so that no key shows in Dagster's UI.
        aws_access_key_id=dg.EnvVar("VISIONOPS_S3_ACCESS_KEY_ID") if has_keys else None,
        aws_secret_access_key=dg.EnvVar("VISIONOPS_S3_SECRET_ACCESS_KEY") if has_keys else None,
    )
    return {
        "catalog": Catalog(),
        "object_store": ObjectStore(),
        "broker": Broker(),
        "tracking": Tracking(),
        "triton": TritonServer(),
        "tables": TableIOManager(s3=s3, bucket=settings.s3_bucket),
        "records": RecordIOManager(s3=s3, bucket=settings.s3_bucket),
    }


_settings = load_settings()

definitions = dg.Definitions.merge(
    *(stage.definitions for stage in STAGES),
    dg.Definitions(resources=_resources(_settings), executor=_executor(_settings)),
)
