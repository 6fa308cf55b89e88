"""Shares and their differences, with confidence intervals. Pure arithmetic."""

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are imported when they are used.

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Turns sums over items, (..., *parts), into values, (...)."""

CONFIDENCE = 0.95
RESAMPLES = 4_000
RESAMPLES_AT_ONCE = 500
MIN_GROUPS = 6
"""Fewest groups that can show a difference: 5 of 5 against one have a chance of 3 %."""


class Interval(NamedTuple):
    """The confidence limits of an estimate."""

    low: float
    high: float


class GroupedShare(NamedTuple):
    """A share of grouped items, and the number of single items that would be as informative.

    Of another statistic than a share, that number is not known.
    """

    value: float
    interval: Interval
    effective_n: float | None
    groups: int


class GroupedDifference(NamedTuple):
    """A difference of two shares of the same grouped items."""

    value: float
    interval: Interval
    groups: int


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of a proportion (E. B. Wilson, JASA 22:209-212, 1927).

    Unlike the textbook interval it stays in 0..1 and keeps its coverage near both ends.

    Raises:
        ValueError: n is not positive, or successes are not within 0..n.
    """
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes of {n} are not a proportion.")
    return _wilson(successes / n, n, confidence)


def _wilson(share: float, n: float, confidence: float) -> Interval:
    z = normal_quantile(confidence)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends a limit equals the share exactly; rounding must not put it past the share.
    return Interval(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def grouped_share(right: Flags, groups: Sequence[str] | npt.NDArray[np.str_]) -> GroupedShare:
    """Estimate the share of right answers, bool (n,), with an interval that counts groups.

    Items of one group, such as frames of one video, are right or wrong together: n of them tell
    less than n single ones. The interval is Wilson's at n / d items, where d is the design effect:
    the variance of the share between groups (W. G. Cochran, "Sampling Techniques", 1977, eq. 11.12)
    over that of n single items (J. N. K. Rao, A. J. Scott, Biometrics 48:577-585, 1992). Few or no
    errors would make that variance small by chance. So d counts two more groups of mean size, one
    all right and one all wrong, as A. Agresti and B. A. Coull (American Statistician 52:119-126,
    1998) add two successes and two failures. Groups of one item give Wilson's interval.

    Raises:
        ValueError: no items, or not one group per item.
    """
    sums = _group_sums(right.astype(np.float64), groups)
    mean_size = float(sums.sizes.mean())
    sizes = np.append(sums.sizes, [mean_size, mean_size])
    hits = np.append(sums.values, [mean_size, 0.0])
    n, share = len(right), float(hits.sum() / sizes.sum())
    residuals = hits - share * sizes
    k = len(sizes)
    variance = k / (k - 1) * float((residuals**2).sum()) / float(sizes.sum()) ** 2
    effective_n = min(float(n), share * (1 - share) / variance)
    value = float(right.mean())
    return GroupedShare(value, _wilson(value, effective_n, CONFIDENCE), effective_n, k - 2)


def grouped_difference(
    right_a: Flags, right_b: Flags, groups: Sequence[str] | npt.NDArray[np.str_]
) -> GroupedDifference:
    """Estimate share(a) - share(b) of right answers to the same items, bool (n,), by their groups.

    The interval is a percentile bootstrap (B. Efron, R. J. Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 13) that draws groups with all their items, expanded for few groups
    (T. C. Hesterberg, American Statistician 69:371-386, 2015, section 4.4). Each call gives the
    same interval. Classifiers that answer alike differ by 0 in each resample: their interval has no
    width, however few the groups. Below `MIN_GROUPS` groups any difference has the interval -1..1,
    since even groups that all speak against a may do so by chance.

    Raises:
        ValueError: no items, or not two answers and one group per item.
    """
    if len(right_a) != len(right_b):
        raise ValueError(f"{len(right_a)} and {len(right_b)} answers cannot be paired.")
    sums = _group_sums(right_a.astype(np.float64) - right_b, groups)
    k, value = len(sums.sizes), float(sums.values.sum() / sums.sizes.sum())
    if not sums.values.any():
        return GroupedDifference(value, Interval(0.0, 0.0), k)
    if k < MIN_GROUPS:
        return GroupedDifference(value, Interval(-1.0, 1.0), k)
    # Equal groups are drawn as one kind: with single items there are only three kinds.
    kinds, counts = np.unique(np.array([sums.values, sums.sizes]), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(k, counts / k, size=RESAMPLES)
    resampled = (drawn @ kinds[0]) / (drawn @ kinds[1])
    return GroupedDifference(value, _limits_of(resampled, k), k)


def grouped_statistic(
    parts: Floats, of: Statistic, groups: Sequence[str] | npt.NDArray[np.str_]
) -> GroupedShare:
    """Estimate a statistic, 0..1, of the summed parts of items, (n, ...), by their groups.

    The interval is that of `grouped_difference`, but no narrower than Wilson's for as many single
    items as there are groups: a sample without an error would have an interval without a width.

    Raises:
        ValueError: no items, or not one group per item.
    """
    sums = _sums_of(parts, groups)
    k, value = len(sums), float(of(sums.sum(axis=0)))
    if k < MIN_GROUPS:
        return GroupedShare(value, Interval(0.0, 1.0), None, k)
    drawn, single = _limits_of(_resampled(sums, of), k), _wilson(value, k, CONFIDENCE)
    limits = Interval(min(drawn.low, single.low), max(drawn.high, single.high))
    return GroupedShare(value, limits, None, k)


def grouped_statistic_difference(
    parts_a: Floats, parts_b: Floats, of: Statistic, groups: Sequence[str] | npt.NDArray[np.str_]
) -> GroupedDifference:
    """Estimate statistic(a) - statistic(b) of parts of the same items; see `grouped_difference`.

    Raises:
        ValueError: no items, or not two parts and one group per item.
    """
    if parts_a.shape != parts_b.shape:
        raise ValueError(f"{parts_a.shape} and {parts_b.shape} parts cannot be paired.")
    sums = _sums_of(np.stack([parts_a, parts_b], axis=1), groups)

    def difference(summed: Floats) -> Floats:
        a, b = np.moveaxis(summed, summed.ndim - parts_a.ndim, 0)
        return np.asarray(of(a) - of(b))

    k, value = len(sums), float(difference(sums.sum(axis=0)))
    if (sums[:, 0] == sums[:, 1]).all():
        return GroupedDifference(0.0, Interval(0.0, 0.0), k)
    if k < MIN_GROUPS:
        return GroupedDifference(value, Interval(-1.0, 1.0), k)
    return GroupedDifference(value, _limits_of(_resampled(sums, difference), k), k)


def _resampled(sums: Floats, of: Statistic) -> Floats:
    """Return the statistic of each resample of groups, whose sums are (k, ...)."""
    k, shape = len(sums), sums.shape[1:]
    kinds, counts = np.unique(sums.reshape(k, -1), axis=0, return_counts=True)
    rng = np.random.default_rng(0)
    drawn = (
        rng.multinomial(k, counts / k, size=RESAMPLES_AT_ONCE)
        for _ in range(RESAMPLES // RESAMPLES_AT_ONCE)
    )
    return np.concatenate([of((each @ kinds).reshape(-1, *shape)) for each in drawn])


def _limits_of(resampled: Floats, k: int) -> Interval:
    """Return the percentiles of resamples of k groups, expanded for few groups."""
    expanded = sqrt(k / (k - 1)) * float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, k - 1))
    tail = NormalDist().cdf(-expanded)
    low = float(np.quantile(resampled, tail, method="lower"))
    high = float(np.quantile(resampled, 1 - tail, method="higher"))
    return Interval(low, high)


def _sums_of(parts: Floats, groups: Sequence[str] | npt.NDArray[np.str_]) -> Floats:
    """Return the summed parts of each group, (k, ...)."""
    if not len(parts) or len(parts) != len(groups):
        raise ValueError(f"{len(parts)} answers in the groups of {len(groups)} cannot be counted.")
    _, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, *parts.shape[1:]))
    np.add.at(sums, index, parts)
    return sums


class _GroupSums(NamedTuple):
    """Return the sum of each group's values, and its number of items; both (k,)."""

    values: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]


def _group_sums(
    values: npt.NDArray[np.float64], groups: Sequence[str] | npt.NDArray[np.str_]
) -> _GroupSums:
    if not len(values) or len(values) != len(groups):
        raise ValueError(f"{len(values)} answers in the groups of {len(groups)} cannot be counted.")
    _, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    sums, sizes = (
        np.bincount(index, weights=weights).astype(np.float64)
        for weights in (values, np.ones(len(values)))
    )
    return _GroupSums(sums, sizes)


def normal_quantile(confidence: float) -> float:
    """Return how many standard deviations enclose a normal value with this confidence."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
