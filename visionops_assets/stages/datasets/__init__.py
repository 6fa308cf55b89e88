"""Immutable dataset snapshots, split by group."""

import dagster as dg

from visionops_assets.stages.datasets.assets import (
    dataset_snapshot,
    every_class_is_held_out,
    no_group_on_both_sides,
)
from visionops_assets.stages.datasets.sensors import build_dataset, new_labels

definitions = dg.Definitions(
    assets=[dataset_snapshot],
    asset_checks=[no_group_on_both_sides, every_class_is_held_out],
    jobs=[build_dataset],
    sensors=[new_labels],
)
