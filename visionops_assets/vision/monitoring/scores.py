"""Scores of a model, overall and by class, each with its 95 % limits.

Not here: the arithmetic that training and evaluation share (`vision/metrics.py`).
"""

from dataclasses import dataclass
from math import nan, sqrt
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.vision.metrics import Indices, confusion_matrix, per_class, wilson_interval

Measure = Literal["accuracy", "precision", "recall", "f1"]
Floats = npt.NDArray[np.float64]

OVERALL = ""
"""The value of column `class` for scores over all classes."""
COLUMNS = ["measure", "class", "value", "low", "high", "support"]
CLASSES_OF_AN_ERROR = 2


class Score(NamedTuple):
    """One score, 0..1, with its limits; all are NaN if no item counts for it.

    `support` is the number of items: of the class, by their truth, or of all classes.
    """

    value: float
    low: float
    high: float
    support: int


@dataclass(frozen=True)
class Scores:
    """All scores of one set of answers.

    `table` has one row per score: `measure` ("accuracy", "precision", "recall", "f1"), `class` (""
    for accuracy and for the macro averages, which are means over the classes that have a value),
    `value`, `low`, `high` (float64, 0..1 or NaN), `support` (int64).
    """

    table: pd.DataFrame

    def of(self, measure: Measure, class_name: str = OVERALL) -> Score:
        """Return one score of the table; without a class, accuracy or a macro average.

        Raises:
            KeyError: the table has no such row.
        """
        rows = self.table[(self.table["measure"] == measure) & (self.table["class"] == class_name)]
        if rows.empty:
            raise KeyError(f"There is no {measure} of {class_name!r}.")
        row = rows.iloc[0]
        return Score(float(row.value), float(row.low), float(row.high), int(row.support))


def score(y_true: Indices, y_pred: Indices, classes: tuple[str, ...]) -> Scores:
    """Score answers against labels, both indices into `classes`, (n,).

    Limits of accuracy, precision and recall are Wilson's. Those of F1 are Wilson's of TP / (TP + FP
    + FN), since F1 rises with it (K. F. Y. Lam et al., "Confidence intervals for the F1 score: a
    comparison of four methods", 2023, arXiv:2309.14621, "Wilson indirect"). Those of a macro
    average combine the limits of the classes by squares (MOVER: G. Y. Zou, A. Donner, Statistics in
    Medicine 27:1693-1702, 2008). Precisions, given how often each class was answered, are
    independent, and so are recalls. F1s are not: one error counts in two classes, so their squares
    count twice, which is exact where errors are rare and cautious elsewhere. In simulations of 2 to
    10 classes, 30 to 1,000 items and accuracies of 0.7 to 0.999 they held the true value in 87 to
    100 % of the cases. Those of a bootstrap did in 2 to 98 %: without errors in the sample it sees
    none at all.

    Raises:
        ValueError: there are no answers, not one label each, or an index names no class.
    """
    _check(y_true, y_pred, len(classes))
    matrix = confusion_matrix(y_true, y_pred, len(classes))
    right, support, answered = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    values = per_class(y_true, y_pred, classes)
    n, n_right = len(y_true), int(right.sum())
    rows = [("accuracy", OVERALL, *Score(n_right / n, *wilson_interval(n_right, n), n))]
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
        rows.append((measure, OVERALL, *Score(*macro, n)))
        rows += [(measure, *row) for row in zip(classes, value, *limits, support, strict=True)]
    return Scores(pd.DataFrame(rows, columns=COLUMNS))


def _check(y_true: Indices, y_pred: Indices, n_classes: int) -> None:
    if y_true.shape != y_pred.shape or not len(y_true):
        raise ValueError(f"{len(y_true)} truths and {len(y_pred)} answers cannot be scored.")
    both = np.concatenate([y_true, y_pred])
    if both.min() < 0 or both.max() >= n_classes:
        raise ValueError(f"An index is not within the {n_classes} classes.")


def _wilson_limits(right: Indices, whole: Indices) -> Floats:
    """Return the limits of right / whole, (2, C), low first; NaN where whole is zero."""
    pairs = [
        wilson_interval(int(k), int(n)) if n else (nan, nan)
        for k, n in zip(right, whole, strict=True)
    ]
    return np.array(pairs).T


def _macro(value: Floats, limits: Floats, variance_factor: int) -> tuple[float, float, float]:
    """Return the mean of the classes that have a value, and its limits."""
    has_value = ~np.isnan(value)
    value, (low, high) = value[has_value], limits[:, has_value]
    mean = float(value.mean())
    below = sqrt(variance_factor * float(np.sum((value - low) ** 2))) / len(value)
    above = sqrt(variance_factor * float(np.sum((high - value) ** 2))) / len(value)
    return mean, max(0.0, mean - below), min(1.0, mean + above)
