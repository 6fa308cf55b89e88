"""Starts a snapshot when `readiness` says that it is time.

A decision to retrain makes one worthwhile at once: the arbiter has counted the frames.
"""

import math
import time

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import (
    label_backlog,
    labelled_frames,
    newest_snapshot,
    now,
)
from visionops_assets.catalog.decisions import newest_retraining
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.settings import Settings, current_spec, load_settings
from visionops_assets.stages.attempts import due_attempt, one_ahead
from visionops_assets.stages.datasets.members import assign_splits, what_is_missing
from visionops_assets.stages.datasets.readiness import groups_per_class, why_wait

WORK_TAG = "visionops/work"
STEPS = 10

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.assets("labels", "dataset_snapshot"),
    description="Reads the labels and cuts a dataset snapshot. Started by `new_labels`.",
    tags=one_ahead("build_dataset"),
)


@dg.sensor(
    job=build_dataset,
    description="Starts build_dataset when many frames are newly labelled, or some and labels "
    "pause, or when the retrain arbiter decided to retrain. Says what is missing for a first one.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def new_labels(context: dg.SensorEvaluationContext, catalog: Catalog) -> dg.SensorResult:
    """Ask for a snapshot when the catalog says that it is time.

    Level-triggered: it compares the catalog with the newest snapshot, so nothing is missed between
    ticks. A snapshot that failed its checks is tried again when more labels have come.
    """
    settings = load_settings()
    with catalog.begin() as session:
        backlog = label_backlog(session, current_spec(settings).spec_id)
        retraining = newest_retraining(session, settings.model_name, settings.retrain_max_s)
        is_first = newest_snapshot(session) is None
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
    elif backlog.new_frames < settings.snapshot_min_new_labels:
        # After a pause: labels that make up for what a cut lacked may be few.
        work += f"-of-{backlog.new_frames}"
    else:
        step = math.ceil(settings.snapshot_min_new_labels / STEPS)
        work += f"-{backlog.new_frames // step}"
    attempt = due_attempt(context.instance, {WORK_TAG: work}, time.time())
    if attempt is None:
        return dg.SensorResult(skip_reason=f"{work} needs no further run now.")
    if is_first and not is_awaited and (missing := _missing_for_a_first(catalog, settings)):
        return dg.SensorResult(skip_reason=missing)
    request = dg.RunRequest(run_key=f"{work}-attempt-{attempt}", tags={WORK_TAG: work})
    return dg.SensorResult(run_requests=[request])


def _missing_for_a_first(catalog: Catalog, settings: Settings) -> str | None:
    """Say what labels are missing for a first snapshot: it would be cut, and trained on by none."""
    with catalog.begin() as session:
        rows = labelled_frames(session, current_spec(settings).spec_id, now(session))
    labels = pd.DataFrame(rows).astype({"frame_id": str, "media_id": str})
    members = assign_splits(labels, settings.holdout_percent)
    return what_is_missing(members, settings.min_holdout_per_class, groups_per_class(settings))
