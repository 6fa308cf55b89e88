"""Scores of classes with their 95 % limits, as rows of a table: what tasks with classes share.

Not here: intervals of shares (`vision/metrics.py`), and the counting, which is each task's.
"""

from collections.abc import Sequence
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.vision.metrics import Indices, wilson_interval

Floats = npt.NDArray[np.float64]

OVERALL = ""
"""The value of column `class` for scores over all classes."""
COLUMNS = ["measure", "class", "value", "low", "high", "support"]
CLASSES_OF_AN_ERROR = 2
Row = tuple[str, str, float, float, float, int]


class Counts(NamedTuple):
    """Counts by class, each (C,): right answers, answers, and items that show it."""

    right: Indices
    answered: Indices
    support: Indices


def share_row(measure: str, right: int, n: int) -> Row:
    """Return the row of a share of n items, over all classes."""
    return (measure, OVERALL, right / n, *wilson_interval(right, n), n)


def class_rows(counts: Counts, classes: Sequence[str], n: int) -> list[Row]:
    """Return precision, recall and F1 of each class, and their means, which stand first.

    Limits of precision and recall are Wilson's. Those of F1 are Wilson's of TP / (TP + FP + FN),
    since F1 rises with it (K. F. Y. Lam et al., "Confidence intervals for the F1 score: a
    comparison of four methods", 2023, arXiv:2309.14621, "Wilson indirect"). Those of a mean combine
    the limits of the classes by squares (MOVER: G. Y. Zou, A. Donner, Statistics in Medicine
    27:1693-1702, 2008). Precisions, given how often each class was answered, are independent, and
    so are recalls. F1s are not: one error counts in two classes, so their squares count twice,
    which is exact where errors are rare and cautious elsewhere.
    """
    right, answered, support = counts
    values = per_class(counts, classes)
    rows: list[Row] = []
    for measure, whole in (
        ("precision", answered),
        ("recall", support),
        ("f1", support + answered - right),
    ):
        limits = _wilson_limits(right, whole)
        if measure == "f1":
            limits = 2 * limits / (1 + limits)
        value = values[measure].to_numpy()
        macro = _macro(value, limits, CLASSES_OF_AN_ERROR if measure == "f1" else 1)
        rows.append((measure, OVERALL, *macro, n))
        rows += [(measure, *row) for row in zip(classes, value, *limits, support, strict=True)]
    return rows


def per_class(counts: Counts, classes: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, f1 (0..1) and support (items), one row per class, in its order.

    A ratio without items to take it over is NaN, never a made-up 0 or 1.
    """
    right, answered, support = counts
    columns = {
        "precision": _ratio(right, answered),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + answered),
        "support": support,
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def _wilson_limits(right: Indices, whole: Indices) -> Floats:
    """Return the limits of right / whole, (2, C), low first; NaN where whole is zero."""
    pairs = [
        wilson_interval(int(k), int(n)) if n else (nan, nan)
        for k, n in zip(right, whole, strict=True)
    ]
    return np.array(pairs).T


def _macro(value: Floats, limits: Floats, variance_factor: int) -> tuple[float, float, float]:
    """Return the mean of the classes that have a value, and its limits; NaN where none has one."""
    has_value = ~np.isnan(value)
    if not has_value.any():
        return nan, nan, nan
    value, (low, high) = value[has_value], limits[:, has_value]
    mean = float(value.mean())
    below = sqrt(variance_factor * float(np.sum((value - low) ** 2))) / len(value)
    above = sqrt(variance_factor * float(np.sum((high - value) ** 2))) / len(value)
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def _ratio(part: Indices, whole: Indices) -> Floats:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
