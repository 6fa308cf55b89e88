"""Which predictions a labelling batch asks about."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from visionops_assets.catalog.labelling import Askable


def choose(candidates: Sequence[Askable], size: int, seed: int) -> list[UUID]:
    """Choose up to `size` predictions by chance, those whose image was kept before all others.

    By chance alone: what the model is least sure of would teach it more, but its labels count in
    the accuracy and in the error stream, and would raise an alarm that nothing has caused. Nobody
    can label, or train on, what nobody can see.
    """
    order = np.random.default_rng(seed).permutation(len(candidates))
    by_chance = [candidates[place] for place in order]
    by_chance.sort(key=lambda found: not found.has_image)
    return [found.prediction_id for found in by_chance[:size]]
