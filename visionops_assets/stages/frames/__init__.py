"""Media to frames: decoded in a sandbox, preprocessed by each spec, packed into shards."""

from collections.abc import Sequence

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.frames.assets import processed_frames_of
from visionops_assets.stages.frames.checks import sources_of


def shared(models: Sequence[ModelDeclaration]) -> dg.Definitions:
    """Return what this stage has of all models together: the frames of each spec, once."""
    specs = list(dict.fromkeys(model.frames for model in models))
    frames = processed_frames_of(specs)
    return dg.Definitions(assets=[frames], asset_checks=[sources_of(frames, specs[0])])
