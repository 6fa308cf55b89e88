"""Reads the labels: the one that counts of each frame that a model learns from."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.labels.assets import labels_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    return dg.Definitions(assets=[labels_of(model)])
