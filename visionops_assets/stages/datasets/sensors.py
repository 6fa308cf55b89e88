"""Starts a snapshot when it is worthwhile: enough newly labelled frames, no backlog.

A decision to retrain makes one worthwhile at once: the arbiter has counted the frames.
"""

import math
import time

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import LabelBacklog, label_backlog
from visionops_assets.catalog.decisions import newest_retraining
from visionops_assets.settings import Settings, current_spec, load_settings
from visionops_assets.stages.attempts import due_attempt, one_ahead
from visionops_assets.stages.sentences import skip_without_servers

WORK_TAG = "visionops/work"
STEPS = 10

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.assets("labels", "dataset_snapshot"),
    description="Reads the labels and cuts a dataset snapshot. Started by `new_labels`.",
    tags=one_ahead("build_dataset"),
)


def why_wait(
    backlog: LabelBacklog, settings: Settings, *, is_retraining: bool = False
) -> str | None:
    """Say why no snapshot is cut yet, or None when it is time.

    A decision to retrain waits for no more media: the frames that it counted are there, and where
    labels never stop coming, some media always are on their way.
    """
    least = 1 if is_retraining else settings.snapshot_min_new_labels
    if backlog.new_frames < least:
        return f"{backlog.new_frames} newly labelled frames, {least} make a snapshot."
    if is_retraining:
        return None
    if backlog.media_waiting and backlog.oldest_new_age_s < settings.snapshot_max_wait_s:
        return f"{backlog.media_waiting} media files are on their way to frames."
    return None


@dg.sensor(
    job=build_dataset,
    description="Starts build_dataset when enough frames are newly labelled, or when the retrain "
    "arbiter decided to retrain.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def new_labels(context: dg.SensorEvaluationContext, catalog: Catalog) -> dg.SensorResult:
    """Ask for a snapshot when the catalog says that it is time.

    Level-triggered: it compares the catalog with the newest snapshot, so nothing is missed between
    ticks. A snapshot that failed its checks is tried again when a tenth more labels have come.
    """
    settings = load_settings()
    with catalog.begin() as session:
        backlog = label_backlog(session, current_spec(settings).spec_id)
        retraining = newest_retraining(session, settings.model_name, settings.retrain_max_s)
    is_awaited = (
        retraining is not None and retraining.came_to is None and retraining.snapshot_id is None
    )
    reason = why_wait(backlog, settings, is_retraining=is_awaited)
    if reason:
        return dg.SensorResult(skip_reason=reason)
    work = f"snapshot-{backlog.watermark.timestamp():.0f}"
    if retraining is not None and is_awaited:
        # One snapshot a decision, however many labels come while its run waits.
        work += f"-decision-{retraining.decision.decision_id}"
    else:
        step = math.ceil(settings.snapshot_min_new_labels / STEPS)
        work += f"-{backlog.new_frames // step}"
    attempt = due_attempt(context.instance, {WORK_TAG: work}, time.time())
    if attempt is None:
        return dg.SensorResult(skip_reason=f"{work} needs no further run now.")
    request = dg.RunRequest(run_key=f"{work}-attempt-{attempt}", tags={WORK_TAG: work})
    return dg.SensorResult(run_requests=[request])
