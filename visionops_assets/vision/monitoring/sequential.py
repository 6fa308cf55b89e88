"""Detects accuracy below its limit, by a sequential test with a guaranteed rate of false alarms.

The detector is a mixture of e-CUSUMs (J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric
framework for sequential change detection", 2022, arXiv:2203.03532) on a stream of answers, each
right or wrong. Null hypothesis: given any past, the next answer is wrong with a probability of at
most p0 = 1 - min_accuracy. For an alternative p1 > p0 one answer multiplies the evidence by its
Bernoulli likelihood ratio

    e = p1 / p0 if wrong, (1 - p1) / (1 - p0) if right,
    C_t = max(C_{t-1}, 1) e_t,  C_0 = 0,  M_t = sum over k of w_k C_t(p1_k),  sum of w_k = 1,

and an alarm is raised as soon as M_t reaches the chosen average run length A.

Why false alarms are at least A answers apart on average: e grows with the error, so its expectation
grows with the probability of an error, and is 1 at p0. Under the whole null it is thus at most 1.
Since max(C, 1) <= C + 1, the expectation of M_t given the past is at most M_{t-1} + 1, which makes
M_t - t a supermartingale. At the time T of the first alarm A <= E[M_T] <= E[T]. Answers need not be
independent. But the probability given the past must not exceed p0: if wrong answers come in
clusters, as from neighbouring frames of one video, it does inside a cluster.
"""

from dataclasses import dataclass
from math import isfinite, log

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.metrics import Flags

ALTERNATIVE_ODDS_RATIOS = (1.25, 1.6, 2.5, 5.0)
"""Odds of an error that the detector looks for, relative to those at the limit; equal weights.

At a limit of 0.90 these are accuracies of 0.88, 0.85, 0.78 and 0.64. The detector is fastest near
them, and about as fast between and beyond. A finer grid gained nothing in simulations at limits of
0.80, 0.90 and 0.95, and slow decay is found only with small ratios.
"""
DEFAULT_AVERAGE_RUN_LENGTH = 5_000.0
"""Least average number of answers between two false alarms, with accuracy exactly at the limit.

In simulations at a limit of 0.90 this leaves under 0.5 % false alarms over 5,000 answers at an
accuracy of 0.93, and a median of some 35 answers to the alarm at 0.63 and 620 at 0.85.
"""

LogEvidence = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DetectorResult:
    """The evidence of a stream of n answers against the limit.

    `log_evidence` is log M_t after each answer, float64 (n,), natural logarithm. `log_threshold` is
    the value it must reach. `alarm_at` is the number of answers seen at the first alarm, from 1 on;
    None without an alarm.
    """

    log_evidence: LogEvidence
    log_threshold: float
    alarm_at: int | None


@dataclass(frozen=True)
class ErrorDetector:
    """Raises an alarm once accuracy is below `min_accuracy`, 0..1 exclusive.

    While accuracy is not below, false alarms are on average at least `average_run_length` answers
    apart.

    Raises:
        ValueError: the limit is not between 0 and 1, or the run length is not finite and above 1.
    """

    min_accuracy: float
    average_run_length: float = DEFAULT_AVERAGE_RUN_LENGTH

    def __post_init__(self) -> None:
        if not 0 < self.min_accuracy < 1:
            raise ValueError(f"A limit of accuracy lies between 0 and 1, not {self.min_accuracy}.")
        if not (isfinite(self.average_run_length) and self.average_run_length > 1):
            raise ValueError(
                f"An average run length is finite and above 1, not {self.average_run_length}."
            )

    def run(self, errors: Flags) -> DetectorResult:
        """Replay a stream of answers, bool (n,), oldest first, True for a wrong one.

        Takes about 0.1 ms per thousand answers, so that a stream can be replayed as a whole.

        Raises:
            ValueError: the stream does not have one dimension, or is not bool, which would hide
                swapped values.
        """
        if errors.ndim != 1 or errors.dtype != np.bool_:
            raise ValueError(
                f"Errors are bool (n,), not {errors.dtype} with {errors.ndim} dimensions."
            )
        log_threshold = log(self.average_run_length)
        log_evidence = self._log_evidence(errors)
        reached = log_evidence >= log_threshold
        alarm_at = int(reached.argmax()) + 1 if reached.any() else None
        return DetectorResult(log_evidence, log_threshold, alarm_at)

    def _log_evidence(self, errors: Flags) -> LogEvidence:
        """Compute log M_t without a loop.

        log C_t = max(log C_{t-1}, 0) + log e_t is the sum of log e up to t, less the least of the
        sums before t, including the empty sum.
        """
        p0 = 1 - self.min_accuracy
        odds_ratios = np.asarray(ALTERNATIVE_ODDS_RATIOS)[:, None]
        p1 = p0 * odds_ratios / (1 - p0 + p0 * odds_ratios)
        log_e = np.where(errors, np.log(p1 / p0), np.log((1 - p1) / (1 - p0)))
        sums = np.zeros((len(p1), len(errors) + 1))
        np.cumsum(log_e, axis=1, out=sums[:, 1:])
        log_cusum = sums[:, 1:] - np.minimum.accumulate(sums[:, :-1], axis=1)
        mixture: LogEvidence = np.logaddexp.reduce(log_cusum, axis=0) - log(len(p1))
        return mixture
