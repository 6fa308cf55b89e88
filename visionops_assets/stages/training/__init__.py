"""Snapshot to registered model version."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.training.assets import trained_model_of
from visionops_assets.stages.training.sensors import new_snapshot_of, train_and_release_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    train_and_release = train_and_release_of(model)
    return dg.Definitions(
        assets=[trained_model_of(model)],
        jobs=[train_and_release],
        sensors=[new_snapshot_of(model, train_and_release)],
    )
