"""Two forms of a model on the same images: how far they agree, and how fast one is."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.preprocessing import Frame
from visionops_assets.vision.selection import Images

Floats = npt.NDArray[np.float32]
Predict = Callable[[Images], Mapping[str, Floats]]
"""Turns frames, uint8 (N, S, S, 3), into a network's outputs by name, with N rows."""

WARM_UP_RUNS, TIMED_RUNS = 5, 20


@dataclass(frozen=True)
class Parity:
    """The answers of an artifact beside those of PyTorch, the reference.

    `errors`, float32 (N), are the largest difference of any probability, per image.
    """

    errors: Floats
    label_agreement: float
    """Share of images with the same answer, 0..1."""
    accuracy: float
    """Score of the artifact by which its task is judged, 0..1."""
    reference_accuracy: float
    """The same for the reference."""

    @property
    def max_probability_error(self) -> float:
        """Return the largest absolute difference of any probability of any image, 0..1."""
        return float(self.errors.max())


def median_latency_ms(predict: Callable[[Frame], object], image: Frame) -> float:
    """Time one image, uint8 (S, S, 3), by itself, from frame to outputs."""
    times_ms = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        started_s = time.perf_counter()
        predict(image[None])
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms[WARM_UP_RUNS:])
