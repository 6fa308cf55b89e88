"""Asks for the doubts about the labels of each trained version."""

import time

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.versions import newest_version
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.stages.attempts import due_attempt, judging_labels
from visionops_assets.stages.of_model import AssetJob, name_of, selection_of

DOUBTED_TAG = "visionops/labels_doubted_by"
INTERVAL_S = 60
"""Nobody waits for it, and what a training is followed by comes first."""


def judge_labels_of(model: ModelDeclaration) -> AssetJob:
    """Define the job that finds a model's likely label errors."""
    return dg.define_asset_job(
        name_of(model, "judge_labels"),
        selection=selection_of(model, "label_quality"),
        description=f"Finds the labels of {model.name} that are likely wrong, and asks for them. "
        f"Started by `{name_of(model, 'unjudged_labels')}` after each training.",
        tags=judging_labels(model.name),
    )


def unjudged_labels_of(model: ModelDeclaration, judge_labels: AssetJob) -> dg.SensorDefinition:
    """Define the sensor that asks for a model's likely label errors."""

    @dg.sensor(
        name=name_of(model, "unjudged_labels"),
        job=judge_labels,
        description=f"Starts {judge_labels.name} once per trained version.",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @skip_without_servers
    def unjudged_labels(
        context: dg.SensorEvaluationContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.SensorResult:
        """Ask for the doubts of the newest version until a run succeeds."""
        with catalog.begin() as session:
            version = newest_version(session, model.name)
        if version is None:
            return dg.SensorResult(skip_reason="There is no version yet.")
        name = f"{model.name} {version.model_version}"
        tags = {DOUBTED_TAG: name}
        attempt = due_attempt(context.instance, tags, time.time())
        if attempt is None:
            return dg.SensorResult(skip_reason=f"{name} needs no further run now.")
        key = f"judge-labels-{model.name}-{version.model_version}"
        key += f"-attempt-{attempt}" if attempt else ""
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key, tags=tags)])

    return unjudged_labels
