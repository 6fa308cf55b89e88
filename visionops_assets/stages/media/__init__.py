"""Queue to catalog: batches of media events become raw_media."""

import dagster as dg

from visionops_assets.stages.media.assets import raw_media
from visionops_assets.stages.media.sensors import media_events, process_media, unfinished_batches

definitions = dg.Definitions(
    assets=[raw_media], jobs=[process_media], sensors=[media_events, unfinished_batches]
)
