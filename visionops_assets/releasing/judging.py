"""The rule by which a canary or shadow passes or ends. Pure arithmetic on the gateways' counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, Self

from visionops_assets.catalog.rollouts import ArmEvidence
from visionops_assets.contracts import Arm, Rollout
from visionops_assets.models.sections import Rollouts

if TYPE_CHECKING:
    from visionops_assets.vision.metrics import Interval

EARLY_CONFIDENCE = 0.999
"""Confidence of the intervals that end a rollout early, which are computed every few seconds."""
EARLY_MIN_SEEN = 20
"""Requests, or compared images, that are needed for a judgement beyond doubt."""
LATENCY_QUANTILE = 0.95
LATENCY_CONFIDENCE = 0.99
"""Confidence that a candidate is slower. Its 95th percentile alone, of the ten slowest of 200
answers, passes 1.5 times the champion's by chance where another process takes the processor.
"""


class Outcome(StrEnum):
    """Whether a rollout ends, and how."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    EXPIRE = "expire"


@dataclass(frozen=True)
class RolloutRule:
    """Limits on a candidate; each is the declared field of its name."""

    min_requests: int
    max_error_increase: float
    max_latency_ratio: float
    min_agreement: float
    max_s: float

    @classmethod
    def of(cls, limits: Rollouts) -> Self:
        """Take the limits as declared."""
        return cls(**limits.model_dump())

    def for_rollout(self, rollout: Rollout, *, by_engine: bool = False) -> Self:
        """Return the limits for one rollout: its own agreement, where it has one.

        `by_engine` says that an engine answers for the champion. A candidate is tried by ONNX, so
        its latency is not compared then.
        """
        agreement = rollout.min_agreement
        return replace(
            self,
            min_agreement=self.min_agreement if agreement is None else agreement,
            max_latency_ratio=inf if by_engine else self.max_latency_ratio,
        )


@dataclass(frozen=True)
class Judgement:
    """The judgement on a rollout, and its reason."""

    outcome: Outcome
    reason: str


def judge(seen: Mapping[Arm, ArmEvidence], rule: RolloutRule, age_s: float) -> Judgement:
    """Judge a rollout that began `age_s` ago by all gateways' counts of both arms.

    A candidate that is bad beyond doubt fails at once, by intervals of 99.9 % confidence. All
    others are judged once they had `min_requests`.
    """
    candidate, champion = seen[Arm.CANDIDATE], seen[Arm.CHAMPION]
    certain = _certain_complaints(candidate, champion, rule)
    if certain:
        return Judgement(Outcome.FAIL, "Failed early: " + "; ".join(certain))
    if candidate.requests < rule.min_requests:
        had = f"It had {candidate.requests} of {rule.min_requests} requests"
        if age_s > rule.max_s:
            expired = f"{had} when its {rule.max_s:g} s were over."
            return Judgement(Outcome.EXPIRE, expired + _why_none(candidate, champion))
        return Judgement(Outcome.WAIT, f"{had}.")
    complaints = _complaints(candidate, champion, rule)
    if complaints:
        return Judgement(Outcome.FAIL, "Failed: " + "; ".join(complaints))
    return Judgement(Outcome.PASS, f"Passed, by {candidate.requests} requests.")


def _why_none(candidate: ArmEvidence, champion: ArmEvidence) -> str:
    """Say what to do if no request was seen at all: waiting would not have helped."""
    if candidate.requests or champion.requests:
        return ""
    return (
        " No request came by the gateway, and a canary or shadow gets no others. Send requests "
        "to it, or declare `retraining: {canary_percent: 0}` to promote retrained models at once."
    )


def as_json(seen: Mapping[Arm, ArmEvidence]) -> dict[str, Any]:
    """Put the counts of both arms into JSON, for the audit."""
    found: dict[str, Any] = {}
    for arm, evidence in seen.items():
        p95_ms = evidence.latency_quantile_ms(LATENCY_QUANTILE)
        found[arm.value] = {
            "requests": evidence.requests,
            "errors": evidence.errors,
            # JSON knows no infinity.
            "p95_ms": None if p95_ms is None or p95_ms == float("inf") else round(p95_ms, 3),
            "latency_counts": evidence.latency_counts,
            "compared": evidence.compared,
            "agreed": evidence.agreed,
        }
    return found


def _certain_complaints(
    candidate: ArmEvidence, champion: ArmEvidence, rule: RolloutRule
) -> list[str]:
    complaints = []
    if candidate.requests >= EARLY_MIN_SEEN:
        low = _interval(candidate.errors, candidate.requests, EARLY_CONFIDENCE).low
        usual = _highest_error_rate(champion)
        if low > usual + rule.max_error_increase:
            complaints.append(
                f"{candidate.errors} of {candidate.requests} requests failed, which is above the "
                f"champion's {champion.error_rate:.4f} beyond doubt"
            )
    if candidate.compared >= EARLY_MIN_SEEN:
        high = _interval(candidate.agreed, candidate.compared, EARLY_CONFIDENCE).high
        if high < rule.min_agreement:
            complaints.append(
                f"it agreed on {candidate.agreed} of {candidate.compared} images, which is below "
                f"{rule.min_agreement} beyond doubt"
            )
    return complaints


def _highest_error_rate(champion: ArmEvidence) -> float:
    if not champion.requests:
        return 0.0
    return _interval(champion.errors, champion.requests, EARLY_CONFIDENCE).high


def _complaints(candidate: ArmEvidence, champion: ArmEvidence, rule: RolloutRule) -> list[str]:
    complaints = []
    if candidate.error_rate > champion.error_rate + rule.max_error_increase:
        complaints.append(
            f"its error rate is {candidate.error_rate:.4f}, the champion's "
            f"{champion.error_rate:.4f}, and {rule.max_error_increase} more is allowed"
        )
    usual_ms = champion.latency_quantile_ms(LATENCY_QUANTILE)
    own_ms = candidate.latency_quantile_ms(LATENCY_QUANTILE)
    if usual_ms and own_ms and _is_slower(candidate, rule.max_latency_ratio * usual_ms):
        complaints.append(
            f"95 % of its answers took up to {own_ms:.1f} ms, the champion's {usual_ms:.1f} ms, "
            f"and {rule.max_latency_ratio} times that is allowed"
        )
    agreement = candidate.agreement
    if agreement is not None and agreement < rule.min_agreement:
        complaints.append(
            f"it agreed on {agreement:.4f} of {candidate.compared} images, and "
            f"{rule.min_agreement} is needed"
        )
    return complaints


def _is_slower(candidate: ArmEvidence, limit_ms: float) -> bool:
    """Say whether certainly more than 1 in 20 of its answers take longer than a limit."""
    answered = sum(candidate.latency_counts)
    slower = _interval(candidate.slower_than(limit_ms), answered, LATENCY_CONFIDENCE)
    return slower.low > 1 - LATENCY_QUANTILE


def _interval(successes: int, n: int, confidence: float) -> "Interval":
    from visionops_assets.vision.metrics import wilson_interval  # noqa: PLC0415 - slow to import

    return wilson_interval(successes, n, confidence)
