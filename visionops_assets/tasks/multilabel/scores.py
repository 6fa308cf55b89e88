"""F1 of multi-label answers, with intervals that count groups, and thresholds that reach it."""

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are imported when they are used.

from visionops_assets.tasks.multilabel.serve import DEFAULT_THRESHOLD
from visionops_assets.vision.metrics import CONFIDENCE, MIN_GROUPS, RESAMPLES, Interval

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Statistic = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

MACRO_F1, MICRO_F1 = "macro_f1", "micro_f1"


class F1(NamedTuple):
    """A score, 0..1, with its 95 % limits, and the groups that they count."""

    value: float
    interval: Interval
    groups: int


def counts_of(truth: Flags, named: Flags) -> npt.NDArray[np.float64]:
    """Count per image and class: (N, 3, C), right names, wrong names, and missing names."""
    parts = [truth & named, ~truth & named, truth & ~named]
    return np.stack(parts, axis=1).astype(np.float64)


def macro_f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean F1 of the classes that are shown or named, for counts (..., 3, C).

    It is 1 where there is no such class: then nothing was missed.
    """
    right, wrong, missing = np.moveaxis(counts, -2, 0)
    whole = 2 * right + wrong + missing
    known = whole > 0
    f1 = np.divide(2 * right, whole, out=np.zeros_like(whole), where=known)
    classes = known.sum(axis=-1)
    mean = np.divide(f1.sum(axis=-1), classes, out=np.ones(classes.shape), where=classes > 0)
    return np.asarray(mean)


def micro_f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the F1 of all names together, for counts (..., 3, C); see `macro_f1`."""
    return macro_f1(counts.sum(axis=-1, keepdims=True))


def f1_scores(truth: Flags, named: Flags, groups: Sequence[str]) -> dict[str, F1]:
    """Score named classes against those that people gave, both bool (N, C).

    The interval is a percentile bootstrap (B. Efron, R. J. Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 13) that draws groups with all their images, expanded for few groups
    (T. C. Hesterberg, American Statistician 69:371-386, 2015, section 4.4). Each call gives the
    same interval. Below `MIN_GROUPS` groups it is 0..1. Without any error in the sample it has no
    width: it then says that nothing was seen, and not that there is nothing.

    Raises:
        ValueError: there are no images, or the lengths differ.
    """
    if not len(groups) or not truth.shape == named.shape or len(truth) != len(groups):
        raise ValueError(f"{truth.shape} labels, {named.shape} names, {len(groups)} groups.")
    _, index = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    per_image = counts_of(truth, named)
    sums = np.zeros((int(index.max()) + 1, *per_image.shape[1:]))
    np.add.at(sums, index, per_image)
    statistics: dict[str, Statistic] = {MACRO_F1: macro_f1, MICRO_F1: micro_f1}
    return {
        name: F1(float(of(sums.sum(axis=0))), _interval(sums, of), len(sums))
        for name, of in statistics.items()
    }


def _interval(sums: npt.NDArray[np.float64], of: Statistic) -> Interval:
    """Return the limits of a statistic of the sums of groups, (k, 3, C)."""
    k = len(sums)
    if k < MIN_GROUPS:
        return Interval(0.0, 1.0)
    drawn = np.random.default_rng(0).multinomial(k, np.full(k, 1 / k), size=RESAMPLES)
    resampled = of(np.tensordot(drawn.astype(np.float64), sums, axes=1))
    expanded = sqrt(k / (k - 1)) * float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, k - 1))
    tail = NormalDist().cdf(-expanded)
    low = float(np.quantile(resampled, tail, method="lower"))
    high = float(np.quantile(resampled, 1 - tail, method="higher"))
    return Interval(low, high)


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
