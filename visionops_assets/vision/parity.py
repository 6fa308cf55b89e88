"""Compares two forms of a model on the same images."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.preprocessing import Frame

Floats = npt.NDArray[np.float32]
Predict = Callable[[Frame], Floats]
"""Turns frames, uint8 (N, S, S, 3), into probabilities (N, classes)."""

WARM_UP_RUNS, TIMED_RUNS = 5, 20


@dataclass(frozen=True)
class Parity:
    """The answers of an artifact beside those of PyTorch, the reference.

    `errors`, float32 (N), are the largest difference of any probability, per image.
    """

    errors: Floats
    label_agreement: float
    """Share of images with the same label, 0..1."""
    accuracy: float
    """Share of images that the artifact labels rightly, 0..1."""
    reference_accuracy: float
    """The same for the reference."""

    @property
    def max_probability_error(self) -> float:
        """Return the largest absolute difference of any probability of any image, 0..1."""
        return float(self.errors.max())


def compare(reference: Floats, probabilities: Floats, truth: npt.NDArray[np.int64]) -> Parity:
    """Compare probabilities, both (N, classes), of images whose classes are `truth` (N).

    An answer that is not finite agrees with nothing, is wrong, and has the largest possible error.

    Raises:
        ValueError: there are no images, or the lengths differ.
    """
    if not len(truth):
        raise ValueError("A comparison needs at least one image.")
    if not (reference.shape == probabilities.shape and len(reference) == len(truth)):
        raise ValueError(
            f"Probabilities {reference.shape} and {probabilities.shape} of {len(truth)} images."
        )
    finite = np.isfinite(probabilities).all(axis=1)
    ours, theirs = reference.argmax(axis=1), probabilities.argmax(axis=1)
    errors = np.where(finite, np.abs(reference - probabilities).max(axis=1), 1)
    return Parity(
        errors=errors.astype(np.float32),
        label_agreement=float(((ours == theirs) & finite).mean()),
        accuracy=float(((theirs == truth) & finite).mean()),
        reference_accuracy=float((ours == truth).mean()),
    )


def median_latency_ms(predict: Predict, image: Frame) -> float:
    """Time one image, uint8 (S, S, 3), by itself, from frame to probabilities."""
    times_ms = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        started_s = time.perf_counter()
        predict(image[None])
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms[WARM_UP_RUNS:])
