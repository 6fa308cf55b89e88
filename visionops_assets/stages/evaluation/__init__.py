"""The gate: candidate and champion on the same frozen holdout."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.evaluation.assets import evaluation_of, gate_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    evaluation = evaluation_of(model)
    return dg.Definitions(assets=[evaluation], asset_checks=[gate_of(evaluation)])
