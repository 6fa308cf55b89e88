"""Reads the labels: the one that counts of each frame, and those that are likely wrong."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.labels.assets import labels_of
from visionops_assets.stages.labels.quality import label_quality_of
from visionops_assets.stages.labels.sensors import judge_labels_of, unjudged_labels_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    judge_labels = judge_labels_of(model)
    return dg.Definitions(
        assets=[labels_of(model), label_quality_of(model)],
        jobs=[judge_labels],
        sensors=[unjudged_labels_of(model, judge_labels)],
    )
