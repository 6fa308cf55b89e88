"""Starts a snapshot of a model when `readiness` says that it is time.

A decision to retrain makes one worthwhile at once: the arbiter has counted the frames.
"""

import math
import time

import dagster as dg
import pandas as pd
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.contradictions import settle_frames
from visionops_assets.catalog.datasets import (
    LabelBacklog,
    label_backlog,
    labelled_frames,
    newest_snapshot,
    now,
)
from visionops_assets.catalog.decisions import (
    may_decide_anew,
    newest_decision,
    newest_retraining,
)
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.naming import dagster_name
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.stages.attempts import (
    BUILD_DATASET,
    TRAIN_AND_RELEASE,
    cutting,
    due_attempt,
    is_under_way,
)
from visionops_assets.stages.datasets.members import (
    PACKAGED_MODEL,
    assign_splits,
    what_is_missing,
)
from visionops_assets.stages.datasets.readiness import why_wait
from visionops_assets.stages.of_model import AssetJob, name_of, selection_of

WORK_TAG = "visionops/work"
STEPS = 10


def build_dataset_of(model: ModelDeclaration) -> AssetJob:
    """Define the job that cuts a model's snapshots."""
    return dg.define_asset_job(
        name_of(model, BUILD_DATASET),
        selection=selection_of(model, "labels", "dataset_snapshot"),
        description=f"Reads the labels of {model.name} and cuts a dataset snapshot. Started by "
        f"`{name_of(model, 'new_labels')}`.",
        tags=cutting(model.name),
    )


def new_labels_of(model: ModelDeclaration, build_dataset: AssetJob) -> dg.SensorDefinition:
    """Define the sensor that asks for a model's snapshots."""

    @dg.sensor(
        name=name_of(model, "new_labels"),
        job=build_dataset,
        description=f"Starts {build_dataset.name} when many frames are newly labelled, or some and "
        "labels pause, or when the retrain arbiter decided to retrain. Says what is missing for a "
        "first one.",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @skip_without_servers
    def new_labels(
        context: dg.SensorEvaluationContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.SensorResult:
        """Ask for a snapshot when the catalog's counts call for one.

        Level-triggered: it compares the catalog with the newest snapshot, so nothing is missed
        between ticks. A snapshot that failed its checks is tried again when more labels have come.
        """
        return _ask(context.instance, catalog, model)

    return new_labels


def _ask(
    instance: dg.DagsterInstance, catalog: Catalog, model: ModelDeclaration
) -> dg.SensorResult:
    with catalog.begin() as session:
        backlog = label_backlog(session, model)
        retraining = newest_retraining(session, model.name, model.retraining.max_s)
        is_arbiters = _is_about_to_decide(session, model.name, backlog.new_frames)
        is_first = newest_snapshot(session, model.name) is None
    is_awaited = (
        retraining is not None and retraining.came_to is None and retraining.snapshot_id is None
    )
    reason = why_wait(backlog, model.snapshots, is_retraining=is_awaited, is_arbiters=is_arbiters)
    reason = reason or what_is_under_way(instance, model.name, is_awaited)
    if reason:
        return dg.SensorResult(skip_reason=reason)
    # One snapshot per decision, however many labels come while its run waits.
    decision_id = retraining.decision.decision_id if retraining and is_awaited else None
    work = work_of(model, backlog, decision_id)
    attempt = due_attempt(instance, {WORK_TAG: work}, time.time())
    if attempt is None:
        return dg.SensorResult(skip_reason=f"{work} needs no further run now.")
    if is_first and not is_awaited and (missing := _missing_for_a_first(catalog, model)):
        return dg.SensorResult(skip_reason=missing)
    request = dg.RunRequest(run_key=f"{work}-attempt-{attempt}", tags={WORK_TAG: work})
    return dg.SensorResult(run_requests=[request])


def work_of(model: ModelDeclaration, backlog: LabelBacklog, decision_id: int | None) -> str:
    """Name a snapshot that is to be cut, so that its runs are told from those of another one.

    The name of the packaged model is left out: work that was done before models were declared is
    not done again.
    """
    of = "" if model.name == PACKAGED_MODEL else f"{model.name}-"
    work = f"{of}snapshot-{backlog.watermark.timestamp():.0f}"
    if decision_id is not None:
        return f"{work}-decision-{decision_id}"
    if backlog.new_frames < model.snapshots.min_new_labels:
        # After a pause: few labels may make up for those that a cut lacked.
        return f"{work}-of-{backlog.new_frames}"
    step = math.ceil(model.snapshots.min_new_labels / STEPS)
    return f"{work}-{backlog.new_frames // step}"


def what_is_under_way(
    instance: dg.DagsterInstance, model_name: str, is_awaited: bool
) -> str | None:
    """Say which run makes a snapshot wait: no two are pending, and the next one has all labels.

    One that answers a decision to retrain waits for no training: that ends at its start if it has
    not begun, for its snapshot is the newest no longer.
    """
    if is_under_way(instance, dagster_name(model_name, BUILD_DATASET)):
        return "A snapshot is being cut: the next one comes after it."
    if not is_awaited and is_under_way(instance, dagster_name(model_name, TRAIN_AND_RELEASE)):
        return "A training is under way: a snapshot of all labels is cut once it has ended."
    return None


def _is_about_to_decide(session: Session, model_name: str, new_frames: int) -> bool:
    decision = newest_decision(session, model_name)
    return decision is not None and may_decide_anew(decision, new_frames, now(session))


def _missing_for_a_first(catalog: Catalog, model: ModelDeclaration) -> str | None:
    """Say which labels a first snapshot lacks: cut without them, it could not be trained on."""
    with catalog.begin() as session:
        watermark = now(session)
        rows = labelled_frames(session, model, watermark)
        settle_frames(session, model, watermark, rows)
    labels = pd.DataFrame(rows).astype({"frame_id": str, "media_id": str})
    split = model.snapshots
    members = assign_splits(
        labels, model.task, split.holdout_percent, window_s=split.group_window_s
    )
    return what_is_missing(members, model.task, split.min_holdout_per_class, split.groups_per_class)
