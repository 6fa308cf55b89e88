"""Reads the labels: the newest one of each labelled frame."""

import dagster as dg

from visionops_assets.stages.labels.assets import labels

definitions = dg.Definitions(assets=[labels])
