"""The rule by which a candidate may take the champion's place."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import Candidate, GateVerdict
from visionops_assets.vision.metrics import paired_difference_interval, wilson_interval


@dataclass(frozen=True)
class GateRule:
    """Limits on the 95 % confidence intervals of accuracy on the frozen holdout.

    `min_accuracy` bounds the candidate's interval from below; `max_regression` is how much worse
    than the champion, on the same frames, the candidate may at most be.
    """

    min_accuracy: float
    max_regression: float


@dataclass(frozen=True)
class ChampionAnswers:
    """The champion's version, and whether it was right on each holdout frame (bool, N)."""

    model_version: int
    correct: npt.NDArray[np.bool_]


def judge(
    candidate: Candidate,
    correct: npt.NDArray[np.bool_],
    champion: ChampionAnswers | None,
    rule: GateRule,
) -> GateVerdict:
    """Judge a candidate by whether it was right on each holdout frame (bool, N)."""
    low, high = wilson_interval(int(correct.sum()), len(correct))
    complaints = []
    if low < rule.min_accuracy:
        complaints.append(
            f"accuracy is {correct.mean():.4f} with a 95 % interval from {low:.4f}, "
            f"and must be at least {rule.min_accuracy}"
        )
    if champion is not None:
        worst, _ = paired_difference_interval(correct, champion.correct)
        if worst < -rule.max_regression:
            complaints.append(
                f"it may be {-worst:.4f} worse than champion version {champion.model_version}, "
                f"and at most {rule.max_regression} is allowed"
            )
    return GateVerdict(
        model_name=candidate.model_name,
        model_version=candidate.model_version,
        champion_version=champion.model_version if champion else None,
        snapshot_id=candidate.snapshot_id,
        holdout_size=len(correct),
        accuracy=float(correct.mean()),
        accuracy_low=low,
        accuracy_high=high,
        champion_accuracy=float(champion.correct.mean()) if champion else None,
        passed=not complaints,
        reason="Refused: " + "; ".join(complaints) if complaints else "Passed.",
    )
