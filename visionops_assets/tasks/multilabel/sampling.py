"""Chooses frames with several labels for validation, and draws the others. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visionops_assets.tasks.splitting import VALIDATION_MIN_GROUPS, validation_groups
from visionops_assets.vision.learning import Rows

Flags = npt.NDArray[np.bool_]


def split_validation(
    shown: Flags, groups: Sequence[str], rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Split frames that show classes (N, C) into rows to train on and rows to validate on.

    Groups stay whole. Each class gives some of its groups, the rarest first; frames that show
    nothing are a class of their own. Groups with a class that has fewer than three keep to the
    training.

    Raises:
        ValueError: no group can be spared.
    """
    names = np.asarray(groups, np.str_)
    kinds = [*shown.T, ~shown.any(axis=1)]
    of_kinds = sorted((set(names[kind].tolist()) for kind in kinds), key=len)
    rare = set().union(*(its for its in of_kinds if len(its) < VALIDATION_MIN_GROUPS))
    chosen: set[str] = set()
    for its in of_kinds:
        lacking = validation_groups(len(its)) - len(its & chosen)
        free = sorted(its - chosen - rare)
        chosen.update(rng.permutation(free)[: max(0, lacking)].tolist())
    if not chosen:
        raise ValueError("Training needs a class with three groups or more, to validate on one.")
    is_chosen = np.isin(names, sorted(chosen))
    return np.flatnonzero(~is_chosen), np.flatnonzero(is_chosen)


class LabelSampler:
    """Draws frames by chance, those with rare classes more often.

    A frame's weight is that of its rarest class, 1 / sqrt(frames of the class) (Mahajan et al.,
    "Exploring the Limits of Weakly Supervised Pretraining", 2018); showing nothing counts as one.
    """

    def __init__(self, shown: Flags, rng: np.random.Generator) -> None:
        kinds = np.column_stack([shown, ~shown.any(axis=1)])
        weights = 1 / np.sqrt(np.maximum(kinds.sum(axis=0), 1))
        of_frames = (kinds * weights).max(axis=1)
        self._rng, self._shares = rng, of_frames / of_frames.sum()

    def batch(self, size: int) -> Rows:
        """Return the positions of the next frames to train on (size); one may come twice."""
        return self._rng.choice(len(self._shares), size, p=self._shares)
