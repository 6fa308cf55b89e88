"""Compares the newest predictions of a release with its reference, kind by kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.catalog.performance import Observation
from visionops_assets.monitoring.reference_files import Reference
from visionops_assets.vision.monitoring.drift import (
    TestResult,
    class_share_test,
    distribution_test,
    holm,
    mmd_test,
)
from visionops_assets.vision.monitoring.quality import QUALITY_MEASURES

EMBEDDING, CLASS_SHARE, CONFIDENCE = "embedding", "class_share", "confidence"
KINDS = (EMBEDDING, CLASS_SHARE, CONFIDENCE, *QUALITY_MEASURES)
MAX_PERMUTATIONS = 10_000
"""A permutation takes 8 kB of memory at 500 + 500 embeddings."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """The tests by kind, with corrected p-values, and the samples of numbers.

    `samples` has the reference's and the current numbers of each kind that is a number.
    """

    results: dict[str, TestResult]
    adjusted: dict[str, float]
    samples: dict[str, tuple[Floats, Floats]]
    significance: float

    def has_drifted(self, kind: str) -> bool:
        """Say whether any kind differs more than chance explains."""
        return self.adjusted[kind] < self.significance

    @property
    def drifted(self) -> list[str]:
        """Return the kinds that drifted, in the order of `KINDS`."""
        return [kind for kind in self.results if self.has_drifted(kind)]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per kind: `kind`, `statistic`, `p_value`, `p_adjusted`, `drifted`."""
        return [
            {
                "kind": kind,
                "statistic": result.statistic,
                "p_value": result.p_value,
                "p_adjusted": self.adjusted[kind],
                "drifted": self.has_drifted(kind),
            }
            for kind, result in self.results.items()
        ]


def compare(
    reference: Reference,
    seen: Sequence[Observation],
    embeddings: npt.NDArray[np.float32],
    significance: float,
) -> Compared:
    """Compare predictions, and the embeddings (n, E) of some of them, with the reference.

    The p-values are corrected for the number of tests (Holm), so that undrifted images are called
    drifted with a chance of at most `significance`. Image quality is compared only if every
    prediction has it.
    """
    samples = _samples(reference, seen)
    # The least p-value that permutations can give must be significant after its correction.
    permutations = min(MAX_PERMUTATIONS, ceil(2 * len(KINDS) / significance))
    results = {
        EMBEDDING: mmd_test(reference.embeddings, embeddings, permutations=permutations),
        CLASS_SHARE: _class_shares(reference, seen),
        **{kind: distribution_test(*both) for kind, both in samples.items()},
    }
    p_values = np.array([result.p_value for result in results.values()])
    adjusted = dict(zip(results, holm(p_values).tolist(), strict=True))
    return Compared(results, adjusted, samples, significance)


def _samples(reference: Reference, seen: Sequence[Observation]) -> dict[str, tuple[Floats, Floats]]:
    samples = {
        CONFIDENCE: (
            reference.confidence.astype(np.float64),
            np.array([one.confidence for one in seen]),
        )
    }
    if all(len(one.quality) == len(QUALITY_MEASURES) for one in seen):
        # In single precision, like the reference: rounding must not count as a difference.
        quality = np.array([one.quality for one in seen], np.float32).astype(np.float64)
        for column, measure in enumerate(QUALITY_MEASURES):
            samples[measure] = (
                reference.quality[:, column].astype(np.float64),
                quality[:, column],
            )
    return samples


def _class_shares(reference: Reference, seen: Sequence[Observation]) -> TestResult:
    before, now = reference.answered.tolist(), [one.answered for one in seen]
    index = {name: i for i, name in enumerate(sorted({*before, *now}))}
    counts = [
        np.bincount([index[name] for name in names], minlength=len(index)).astype(np.int64)
        for names in (before, now)
    ]
    return class_share_test(*counts)
