"""How right a classifier is, with intervals that say how sure that is. Pure arithmetic."""

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Interval(NamedTuple):
    """The confidence limits of an estimate."""

    low: float
    high: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion (E. B. Wilson, JASA 22:209-212, 1927).

    Unlike the textbook interval it stays in 0..1 and keeps its coverage near both ends.

    Raises:
        ValueError: n is not positive, or successes are not within 0..n.
    """
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes of {n} are no proportion.")
    z = _normal_quantile(confidence)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends a limit equals the share exactly; rounding must not put it past the share.
    return Interval(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def paired_difference_interval(
    correct_a: Flags, correct_b: Flags, confidence: float = 0.95
) -> Interval:
    """Interval of accuracy(a) - accuracy(b) of two classifiers on the same items.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17:2635-2650, 1998: Wilson limits of
    both accuracies, combined with the correlation of the answers.

    Raises:
        ValueError: no items, or not the same number of them.
    """
    if len(correct_a) != len(correct_b) or not len(correct_a):
        raise ValueError(f"{len(correct_a)} and {len(correct_b)} answers cannot be paired.")
    n = len(correct_a)
    a = wilson_interval(int(correct_a.sum()), n, confidence)
    b = wilson_interval(int(correct_b.sum()), n, confidence)
    phi = _paired_correlation(correct_a, correct_b)
    accuracy_a, accuracy_b = float(correct_a.mean()), float(correct_b.mean())
    down_a, up_a = accuracy_a - a.low, a.high - accuracy_a
    down_b, up_b = accuracy_b - b.low, b.high - accuracy_b
    difference = accuracy_a - accuracy_b
    below = sqrt(max(0.0, down_a**2 - 2 * phi * down_a * up_b + up_b**2))
    above = sqrt(max(0.0, up_a**2 - 2 * phi * up_a * down_b + down_b**2))
    return Interval(difference - below, difference + above)


def _paired_correlation(correct_a: Flags, correct_b: Flags) -> float:
    """Phi of the 2 x 2 table, continuity-corrected when positive, as Newcombe's method 10 asks."""
    n = len(correct_a)
    both = int((correct_a & correct_b).sum())
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    neither = n - both - only_a - only_b
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if not margins:
        return 0.0
    association = float(both * neither - only_a * only_b)
    if association > 0:
        association = max(association - n / 2, 0.0)
    return association / sqrt(margins)


def _normal_quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def confusion_matrix(y_true: Indices, y_pred: Indices, n_classes: int) -> Indices:
    """Count (truth, prediction) pairs: int64 (n_classes, n_classes), truth by row."""
    counts = np.bincount(y_true * n_classes + y_pred, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def per_class(y_true: Indices, y_pred: Indices, classes: tuple[str, ...]) -> pd.DataFrame:
    """Columns precision, recall, f1 (0..1) and support (items), one row a class, in its order.

    A ratio without items to take it over is NaN, never a made-up 0 or 1.
    """
    matrix = confusion_matrix(y_true, y_pred, len(classes))
    right, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    columns = {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + predicted),
        "support": support,
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def _ratio(part: Indices, whole: Indices) -> npt.NDArray[np.float64]:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
