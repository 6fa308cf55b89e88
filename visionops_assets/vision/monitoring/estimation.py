"""Estimates accuracy while labels are missing: confidence-based performance estimation (CBPE).

A model's confidence is calibrated on a labelled reference; the mean calibrated confidence of new
predictions is then their expected accuracy. This is NannyML's method (J. Kivimaki, J. Bialek, J. K.
Nurminen, W. Kuberski, "Confidence-based estimators for predictive performance in model monitoring",
2024, arXiv:2407.08649). Confidence is the probability that the model gave to its answer. Networks
are over-confident (C. Guo et al., "On calibration of modern neural networks", ICML 2017), so it is
calibrated. Calibration is isotonic (B. Zadrozny, C. Elkan, "Transforming classifier scores into
accurate multiclass probability estimates", KDD 2002).

The method cannot see a change of the right answers (concept shift), nor a model that is confidently
wrong about images of a new kind. It assumes that an answer of some confidence is right as often as
it was in the reference. So an estimate may ask for labels; it proves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy

from visionops_assets.vision.metrics import Flags, Indices, wilson_interval

Floats = npt.NDArray[np.float64]

NORMAL_QUANTILE = 1.96
"""Standard deviations of the 95 % limits."""


class Estimate(NamedTuple):
    """An accuracy that was inferred, not counted, 0..1, with its 95 % limits."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class ConfidenceCalibration:
    """Share of right answers in a reference by confidence: B steps that never fall.

    `edges` (B - 1,) are the confidences between the steps, ascending; an edge belongs to the step
    above it. `items` (B,) counts the reference's answers on each step, `right` (B,) the right ones
    among them.
    """

    edges: Floats
    right: Indices
    items: Indices

    @classmethod
    def fit(cls, confidence: Floats, correct: Flags) -> Self:
        """Calibrate on a labelled reference that the model was not trained on, both (n,).

        Raises:
            ValueError: there are no answers, not one flag each, or a confidence is outside 0..1.
        """
        _check_confidence(confidence)
        if correct.shape != confidence.shape:
            raise ValueError(f"{correct.shape} flags for {confidence.shape} confidences.")
        levels, level_of, items = np.unique(confidence, return_inverse=True, return_counts=True)
        right = np.bincount(level_of, weights=correct).astype(np.int64)
        starts = scipy.optimize.isotonic_regression(right / items, weights=items).blocks[:-1]
        return cls(
            edges=(levels[starts[1:] - 1] + levels[starts[1:]]) / 2,
            right=np.add.reduceat(right, starts),
            items=np.add.reduceat(items, starts),
        )

    def calibrated(self, confidence: Floats) -> Floats:
        """Return the probability that an answer is right, for each confidence, both (m,)."""
        shares: Floats = self.right / self.items
        return shares[np.searchsorted(self.edges, confidence, side="right")]

    def estimate_accuracy(self, confidence: Floats) -> Estimate:
        """Estimate the share of right predictions by their confidences, (m,).

        The limits allow for both sources of error. The reference has few answers of some
        confidences: for that, the Wilson limits of each step's share, weighted by the predictions
        on it. And the results of m answers vary by chance: a(1 - a) / m at an accuracy of a. Both
        are combined by squares (MOVER: G. Y. Zou, A. Donner, Statistics in Medicine 27:1693-1702,
        2008). In simulations they held the true accuracy in 81 to 100 % of the cases. The coverage
        was least where most predictions have confidences that were rare in the reference, which
        makes the estimate too low. The limits do not cover shifts that the method cannot see.

        Raises:
            ValueError: there are no predictions, or a confidence is outside 0..1.
        """
        _check_confidence(confidence)
        steps = np.searchsorted(self.edges, confidence, side="right")
        weights = np.bincount(steps, minlength=len(self.items)) / len(confidence)
        shares = self.right / self.items
        accuracy = float(weights @ shares)
        used = np.flatnonzero(weights)
        limits = [wilson_interval(int(self.right[step]), int(self.items[step])) for step in used]
        low_shares, high_shares = np.array(limits).T
        below = weights[used] * (shares[used] - low_shares)
        above = weights[used] * (high_shares - shares[used])
        by_chance = NORMAL_QUANTILE**2 * accuracy * (1 - accuracy) / len(confidence)
        low = accuracy - sqrt(float(below @ below) + by_chance)
        high = accuracy + sqrt(float(above @ above) + by_chance)
        return Estimate(accuracy, max(0.0, low), min(1.0, high))

    def as_lists(self) -> dict[str, list[float]]:
        """Return the fields as lists, which JSON can hold."""
        return {name: values.tolist() for name, values in asdict(self).items()}

    @classmethod
    def from_lists(cls, lists: Mapping[str, Sequence[float]]) -> Self:
        """Restore a calibration from the result of `as_lists`."""
        return cls(
            edges=np.asarray(lists["edges"], np.float64),
            right=np.asarray(lists["right"], np.int64),
            items=np.asarray(lists["items"], np.int64),
        )


def _check_confidence(confidence: Floats) -> None:
    if confidence.ndim != 1 or not len(confidence):
        raise ValueError(f"Confidences are (n,), at least one, not {confidence.shape}.")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("A confidence lies within 0..1.")
