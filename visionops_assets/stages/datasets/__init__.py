"""Immutable dataset snapshots, split by group."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.datasets.assets import checks_of, snapshot_of
from visionops_assets.stages.datasets.contradictions import contradictions_check_of
from visionops_assets.stages.datasets.sensors import build_dataset_of, new_labels_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    snapshot, build_dataset = snapshot_of(model), build_dataset_of(model)
    return dg.Definitions(
        assets=[snapshot],
        asset_checks=[*checks_of(model, snapshot), contradictions_check_of(model, snapshot)],
        jobs=[build_dataset],
        sensors=[new_labels_of(model, build_dataset)],
    )
