"""F1 of multi-label answers, trivial ones beside them, and thresholds that reach it."""

import numpy as np
import numpy.typing as npt

from visionops_assets.tasks.evaluation import Score
from visionops_assets.tasks.f1 import MACRO_F1, MICRO_F1, counts_of, macro_f1, micro_f1
from visionops_assets.tasks.multilabel.serve import DEFAULT_THRESHOLD

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def f1_scores(truth: Flags, named: Flags) -> tuple[Score, Score]:
    """Score named classes against those that people gave, both bool (N, C): macro and micro F1.

    The trivial answer names the same classes for each image. Of macro F1 the best one names all
    that are ever shown, of micro F1 the commonest of them.

    Raises:
        ValueError: there are no images, or the shapes differ.
    """
    if not len(truth) or truth.shape != named.shape:
        raise ValueError(f"{truth.shape} labels cannot be scored by {named.shape} names.")
    counts = counts_of(truth, named)
    trivial_macro, trivial_micro = _trivial(truth)
    return (
        Score(MACRO_F1, counts, trivial_macro, "naming every class always", macro_f1),
        Score(MICRO_F1, counts, trivial_micro, "naming the commonest classes always", micro_f1),
    )


def _trivial(truth: Flags) -> tuple[float, float]:
    """Return macro and micro F1 of the best answers that are the same for each image."""
    shown = np.sort(truth.sum(axis=0))[::-1].astype(np.float64)
    shown = shown[shown > 0]
    if not len(shown):
        return 1.0, 1.0
    each = 2 * shown / (len(truth) + shown)
    named = np.arange(1, len(shown) + 1)
    together = 2 * np.cumsum(shown) / (named * len(truth) + shown.sum())
    return float(each.mean()), float(together.max())


def choose_thresholds(probabilities: Floats, truth: Flags) -> tuple[float, ...]:
    """Choose the threshold of each class by its F1, from probabilities and labels (N, C).

    A threshold lies in the middle between two probabilities. Of equally good ones that nearest to a
    half is chosen, and a half for a class that all images show, or none: it cannot be told apart.
    """
    return tuple(
        _threshold(probabilities[:, column].astype(np.float64), truth[:, column])
        for column in range(truth.shape[1])
    )


def _threshold(probabilities: npt.NDArray[np.float64], truth: Flags) -> float:
    if truth.all() or not truth.any():
        return DEFAULT_THRESHOLD
    levels = np.unique(probabilities)
    middles = (levels[1:] + levels[:-1]) / 2
    tried = np.array([*middles, DEFAULT_THRESHOLD])
    names = probabilities[:, None] >= tried
    counts = counts_of(np.broadcast_to(truth[:, None], names.shape), names).sum(axis=0)
    right, wrong, missing = counts
    f1 = 2 * right / (2 * right + wrong + missing)
    best = np.flatnonzero(f1 == f1.max())
    return float(tried[best[np.abs(tried[best] - DEFAULT_THRESHOLD).argmin()]])
