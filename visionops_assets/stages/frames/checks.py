"""Checks of `processed_frames`: whether sources show something, over batches."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.processing import recent_frames
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.frames.assets import processed_frames
from visionops_assets.vision.monitoring.quality import FRAME_MEASURES
from visionops_assets.vision.monitoring.sources import Complaint, frozen, shows_nothing

LOOKED_AT = timedelta(hours=1)
MOST_FRAMES = 20_000


@dg.asset_check(asset=processed_frames)
@fail_in_words
def frames_show_something(catalog: dg.ResourceParam[Catalog]) -> dg.AssetCheckResult:
    """No source sent mostly blank, dark or bright frames within the hour."""
    return _warned(catalog, shows_nothing)


@dg.asset_check(asset=processed_frames)
@fail_in_words
def cameras_are_not_frozen(catalog: dg.ResourceParam[Catalog]) -> dg.AssetCheckResult:
    """No source has repeated one frame to the last bit within the hour."""
    return _warned(catalog, frozen)


def _warned(
    catalog: Catalog, judge: Callable[[pd.DataFrame], Sequence[Complaint]]
) -> dg.AssetCheckResult:
    """Return a warning: a camera's fault is no reason to stop the files of others."""
    with catalog.begin() as session:
        rows = recent_frames(session, load_settings().spec.spec_id, LOOKED_AT, MOST_FRAMES)
    frames = pd.DataFrame(
        [(source, look, *quality) for source, look, quality in rows],
        columns=["source", "perceptual_hash", *FRAME_MEASURES],
    )
    complaints = judge(frames)
    return dg.AssetCheckResult(
        passed=not complaints,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(map(str, complaints)) or None,
        metadata={"frames": len(frames), "sources": frames["source"].nunique()},
    )
