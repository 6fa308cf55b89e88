"""Immutable dataset snapshots, split by group."""

import dagster as dg

from visionops_assets.stages.datasets.assets import dataset_snapshot
from visionops_assets.stages.datasets.sensors import build_dataset, new_labels

definitions = dg.Definitions(assets=[dataset_snapshot], jobs=[build_dataset], sensors=[new_labels])
