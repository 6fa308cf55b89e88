"""Chooses the predictions of a labelling batch."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from visionops_assets.catalog.labelling_items import Askable


def choose(candidates: Sequence[Askable], size: int, seed: int) -> list[UUID]:
    """Choose up to `size` predictions by chance, first those whose image was kept.

    By chance alone: images that the model is least sure of would teach it more, but their labels
    count in the accuracy and in the error stream, and would raise an alarm without a cause. Nobody
    can label an image that was not kept.
    """
    order = np.random.default_rng(seed).permutation(len(candidates))
    by_chance = [candidates[place] for place in order]
    by_chance.sort(key=lambda found: not found.has_image)
    return [found.prediction_id for found in by_chance[:size]]
