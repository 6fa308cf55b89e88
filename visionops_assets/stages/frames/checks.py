"""Checks of `processed_frames`: whether sources show something, over batches."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.processing import recent_frames
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.vision.monitoring.quality import FRAME_MEASURES
from visionops_assets.vision.monitoring.sources import Complaint, frozen, shows_nothing

LOOKED_AT = timedelta(hours=1)
MOST_FRAMES = 20_000


_JUDGES: dict[str, tuple[str, Callable[[pd.DataFrame], Sequence[Complaint]]]] = {
    "frames_show_something": (
        "No source sent mostly blank, dark or bright frames within the hour.",
        shows_nothing,
    ),
    "cameras_are_not_frozen": (
        "No source has repeated one frame to the last bit within the hour.",
        frozen,
    ),
}


def sources_of(
    processed_frames: dg.AssetsDefinition, spec: PreprocessingSpec
) -> dg.AssetChecksDefinition:
    """Define the checks of frames, by those of a spec."""

    @dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec(name, asset=processed_frames, description=description)
            for name, (description, _) in _JUDGES.items()
        ]
    )
    @fail_in_words
    def sources(catalog: dg.ResourceParam[Catalog]) -> Iterator[dg.AssetCheckResult]:
        """Look at the frames of the hour. A camera's fault is a warning, and stops no other's."""
        with catalog.begin() as session:
            rows = recent_frames(session, spec.spec_id, LOOKED_AT, MOST_FRAMES)
        frames = pd.DataFrame(
            [(source, look, *quality) for source, look, quality in rows],
            columns=["source", "perceptual_hash", *FRAME_MEASURES],
        )
        for name, (_, judge) in _JUDGES.items():
            complaints = judge(frames)
            yield dg.AssetCheckResult(
                passed=not complaints,
                asset_key=processed_frames.key,
                check_name=name,
                severity=dg.AssetCheckSeverity.WARN,
                description=" ".join(map(str, complaints)) or None,
                metadata={"frames": len(frames), "sources": frames["source"].nunique()},
            )

    return sources
