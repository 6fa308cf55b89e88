"""Snapshot to registered model version."""

import dagster as dg

from visionops_assets.stages.training.assets import trained_model
from visionops_assets.stages.training.sensors import new_snapshot, train_and_release

definitions = dg.Definitions(
    assets=[trained_model], jobs=[train_and_release], sensors=[new_snapshot]
)
