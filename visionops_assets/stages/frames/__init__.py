"""Media to frames: decoded in a sandbox, preprocessed by the spec, packed into shards."""

import dagster as dg

from visionops_assets.stages.frames.assets import processed_frames
from visionops_assets.stages.frames.checks import sources

definitions = dg.Definitions(assets=[processed_frames], asset_checks=[sources])
