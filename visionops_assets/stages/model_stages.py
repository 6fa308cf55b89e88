"""The stages that each model has of its own, together."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages import datasets, evaluation, labels, monitoring, serving, training

STAGES = (labels, datasets, training, evaluation, serving, monitoring)
"""The stages that each model has of its own, in the order data flows."""


def definitions_of(model: ModelDeclaration) -> dg.Definitions:
    """Return the assets, checks, jobs and sensors that a model has of its own.

    They refer to those that all models share, which `visionops_assets.definitions` has.
    """
    return dg.Definitions.merge(*(stage.stage(model) for stage in STAGES))
