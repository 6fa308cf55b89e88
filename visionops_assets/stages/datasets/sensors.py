"""What makes a new snapshot worthwhile: enough newly labelled frames, no backlog before them."""

import math
import time

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import LabelBacklog, label_backlog
from visionops_assets.settings import Settings, current_spec, load_settings
from visionops_assets.stages.attempts import EXCLUSIVE_TAG, due_attempt

WORK_TAG = "visionops/work"
STEPS = 10

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.assets("labels", "dataset_snapshot"),
    description="Reads the labels and cuts a dataset snapshot.",
    tags={EXCLUSIVE_TAG: "build_dataset"},
)


def why_wait(backlog: LabelBacklog, settings: Settings) -> str | None:
    """Say why no snapshot is cut yet, or None when it is time."""
    if backlog.new_frames < settings.snapshot_min_new_labels:
        return (
            f"{backlog.new_frames} newly labelled frames, "
            f"{settings.snapshot_min_new_labels} make a snapshot."
        )
    if backlog.media_waiting and backlog.oldest_new_age_s < settings.snapshot_max_wait_s:
        return f"{backlog.media_waiting} media files are on their way to frames."
    return None


@dg.sensor(
    job=build_dataset,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_labels(context: dg.SensorEvaluationContext, catalog: Catalog) -> dg.SensorResult:
    """Asks for a snapshot when the catalog says that it is time.

    Level-triggered: it compares the catalog with the newest snapshot, so nothing is missed between
    ticks. A snapshot that failed its checks is tried again when a tenth more labels have come.
    """
    settings = load_settings()
    with catalog.begin() as session:
        backlog = label_backlog(session, current_spec(settings).spec_id)
    reason = why_wait(backlog, settings)
    if reason:
        return dg.SensorResult(skip_reason=reason)
    step = math.ceil(settings.snapshot_min_new_labels / STEPS)
    work = f"snapshot-{backlog.watermark.timestamp():.0f}-{backlog.new_frames // step}"
    attempt = due_attempt(context.instance, {WORK_TAG: work}, time.time())
    if attempt is None:
        return dg.SensorResult(skip_reason=f"{work} needs no further run now.")
    request = dg.RunRequest(run_key=f"{work}-attempt-{attempt}", tags={WORK_TAG: work})
    return dg.SensorResult(run_requests=[request])
