"""Which predictions a labelling batch asks about."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from visionops_assets.catalog.labelling import Askable


def choose(candidates: Sequence[Askable], size: int, seed: int) -> list[UUID]:
    """Choose up to `size` predictions: half at random, half those with the least confidence.

    The random half says how right the model is, the other what it can learn most from (D. Lewis,
    W. Gale, "A sequential algorithm for training text classifiers", 1994). Those whose image was
    kept come first: nobody can label, or train on, what nobody can see.
    """
    seen = [found for found in candidates if found.has_image]
    unseen = [found for found in candidates if not found.has_image]
    random = np.random.default_rng(seed)
    chosen = _choose_half(seen, size, random)
    return chosen + _choose_half(unseen, size - len(chosen), random)


def _choose_half(
    candidates: Sequence[Askable], size: int, random: np.random.Generator
) -> list[UUID]:
    if size >= len(candidates):
        return [found.prediction_id for found in candidates]
    order = random.permutation(len(candidates))
    by_chance = [candidates[place] for place in order[: size // 2]]
    rest = [candidates[place] for place in order[size // 2 :]]
    rest.sort(key=lambda found: found.confidence)
    return [found.prediction_id for found in by_chance + rest[: size - size // 2]]
