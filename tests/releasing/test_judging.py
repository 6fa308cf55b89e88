from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog.rollouts import LATENCY_BOUNDS_MS, ArmEvidence
from visionops_assets.contracts import Arm, Role, Rollout
from visionops_assets.models.sections import Rollouts
from visionops_assets.releasing.judging import (
    Judgement,
    Outcome,
    RolloutRule,
    as_json,
    judge,
)

RULE = RolloutRule(
    min_requests=200,
    max_error_increase=0.01,
    max_latency_ratio=1.5,
    min_agreement=0.9,
    max_s=3_600,
)
BUCKETS = len(LATENCY_BOUNDS_MS) + 1


def arm(
    requests: int, errors: int = 0, latency_ms: float = 8, compared: int = 0, agreed: int = 0
) -> ArmEvidence:
    found = ArmEvidence(compared=compared, agreed=agreed)
    for _ in range(requests - errors):
        found.observe(latency_ms)
    for _ in range(errors):
        found.fail()
    return found


def judged(
    candidate: ArmEvidence, champion: ArmEvidence | None = None, age_s: float = 60
) -> Judgement:
    seen = {Arm.CANDIDATE: candidate, Arm.CHAMPION: champion or arm(2_000)}
    return judge(seen, RULE, age_s)


@pytest.mark.parametrize(
    ("candidate", "outcome", "reason"),
    [
        (arm(0), Outcome.WAIT, "0 of 200"),
        (arm(199), Outcome.WAIT, "199 of 200"),
        (arm(200), Outcome.PASS, "200 requests"),
        (arm(200, errors=2), Outcome.PASS, "200 requests"),
        (arm(200, errors=3), Outcome.FAIL, "error rate is 0.0150"),
        (arm(200, latency_ms=30), Outcome.FAIL, "95 % of its answers"),
        (arm(200, latency_ms=9_000), Outcome.FAIL, "took up to inf ms"),
        (arm(200, compared=100, agreed=90), Outcome.PASS, "200 requests"),
        (arm(200, compared=100, agreed=89), Outcome.FAIL, "agreed on 0.8900 of 100"),
        # Beyond doubt, long before the requests are complete.
        (arm(20, errors=3), Outcome.FAIL, "Failed early: 3 of 20"),
        (arm(30, compared=30, agreed=3), Outcome.FAIL, "Failed early: it agreed on 3 of 30"),
        # Not beyond doubt: the first request of a healthy candidate may fail.
        (arm(1, errors=1), Outcome.WAIT, "1 of 200"),
        (arm(20, errors=2), Outcome.WAIT, "20 of 200"),
        (arm(50, errors=1), Outcome.WAIT, "50 of 200"),
        (arm(3, compared=3, agreed=2), Outcome.WAIT, "3 of 200"),
    ],
)
def test_a_candidate_is_judged_by_errors_latency_and_agreement(
    candidate: ArmEvidence, outcome: Outcome, reason: str
) -> None:
    found = judged(candidate)
    assert (found.outcome, reason in found.reason) == (outcome, True), found


def test_one_without_traffic_ends_in_time_and_a_bad_one_still_fails() -> None:
    assert judged(arm(199), age_s=3_600).outcome is Outcome.WAIT
    assert judged(arm(199), age_s=3_601).outcome is Outcome.EXPIRE
    assert judged(arm(100, errors=90), age_s=3_601).outcome is Outcome.FAIL


def test_one_that_expired_without_any_request_says_what_to_set() -> None:
    expired = judged(arm(0), arm(0), age_s=3_601)
    assert expired.outcome is Outcome.EXPIRE
    assert "No request came by the gateway" in expired.reason
    assert "canary_percent: 0" in expired.reason
    # With requests of the champion the gateway is not at fault.
    assert "gateway" not in judged(arm(0), arm(10), age_s=3_601).reason
    assert "gateway" not in judged(arm(10), arm(0), age_s=3_601).reason
    assert "gateway" not in judged(arm(0), arm(0)).reason


def rollout(min_agreement: float | None) -> Rollout:
    return Rollout(
        rollout_id=1,
        model_name="m",
        model_version=2,
        champion_version=1,
        role=Role.CANARY,
        share_percent=20,
        min_agreement=min_agreement,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_rollout_may_have_an_agreement_of_its_own() -> None:
    seen = {Arm.CANDIDATE: arm(200, compared=100, agreed=5), Arm.CHAMPION: arm(2_000)}
    assert judge(seen, RULE.for_rollout(rollout(None)), 60).outcome is Outcome.FAIL
    assert judge(seen, RULE.for_rollout(rollout(0.0)), 60).outcome is Outcome.PASS
    # And is judged by all else as ever.
    failing = {Arm.CANDIDATE: arm(200, errors=3), Arm.CHAMPION: arm(2_000)}
    assert judge(failing, RULE.for_rollout(rollout(0.0)), 60).outcome is Outcome.FAIL


def test_errors_that_the_champion_has_too_are_not_held_against_a_candidate() -> None:
    assert judged(arm(200, errors=40), arm(2_000, errors=400)).outcome is Outcome.PASS
    assert judged(arm(20, errors=6), arm(10, errors=2)).outcome is Outcome.WAIT


def test_without_a_champions_answers_a_candidate_is_judged_by_itself() -> None:
    assert judged(arm(200), arm(0)).outcome is Outcome.PASS
    assert judged(arm(200, errors=3), arm(0)).outcome is Outcome.FAIL


COUNTS = st.lists(st.integers(0, 400), min_size=BUCKETS, max_size=BUCKETS)


@st.composite
def arms(draw: st.DrawFn) -> ArmEvidence:
    counts, errors = draw(COUNTS), draw(st.integers(0, 300))
    compared = draw(st.integers(0, 500))
    agreed = draw(st.integers(0, compared))
    return ArmEvidence(sum(counts) + errors, errors, counts, compared, agreed)


@given(arms(), st.integers(0, 10_000))
def test_a_candidate_like_its_champion_never_fails(seen: ArmEvidence, age_s: int) -> None:
    alike = replace(seen, agreed=seen.compared)
    assert judged(alike, seen, age_s).outcome is not Outcome.FAIL


@given(arms(), arms(), st.integers(1, 300), st.integers(0, 10_000))
def test_more_errors_never_help(
    candidate: ArmEvidence, champion: ArmEvidence, more: int, age_s: int
) -> None:
    worse = replace(candidate, requests=candidate.requests + more, errors=candidate.errors + more)
    if judged(candidate, champion, age_s).outcome is Outcome.FAIL:
        assert judged(worse, champion, age_s).outcome is Outcome.FAIL


@given(arms(), arms(), st.integers(0, 10_000))
def test_only_with_enough_requests_does_one_pass(
    candidate: ArmEvidence, champion: ArmEvidence, age_s: int
) -> None:
    outcome = judged(candidate, champion, age_s).outcome
    if candidate.requests < RULE.min_requests:
        assert outcome is not Outcome.PASS
    else:
        assert outcome in {Outcome.PASS, Outcome.FAIL}


def test_the_rule_is_as_declared() -> None:
    declared = Rollouts(
        min_requests=7,
        max_error_increase=0.2,
        max_latency_ratio=3,
        min_agreement=0.5,
        max_s=60,
    )
    assert RolloutRule.of(declared) == RolloutRule(
        min_requests=7,
        max_error_increase=0.2,
        max_latency_ratio=3,
        min_agreement=0.5,
        max_s=60,
    )


@pytest.mark.parametrize(
    ("latency_ms", "outcome"),
    [(12, Outcome.PASS), (18, Outcome.FAIL)],  # 14.75 ms and 19.75 ms against 9.85 ms
)
def test_latency_is_allowed_to_grow_by_a_factor(latency_ms: float, outcome: Outcome) -> None:
    """Not by a number of milliseconds: 14.75 ms are within 1.5 times 9.85 ms."""
    found = judged(arm(200, latency_ms=latency_ms), arm(2_000, latency_ms=8))
    assert found.outcome is outcome, found.reason


@pytest.mark.parametrize(("delayed", "outcome"), [(16, Outcome.PASS), (22, Outcome.FAIL)])
def test_a_burst_of_another_process_does_not_make_a_candidate_slow(
    delayed: int, outcome: Outcome
) -> None:
    """It delays a share of both arms near 5 %, so that a 95th percentile lies in it by chance."""
    candidate = arm(200 - delayed) + arm(delayed, latency_ms=300)
    champion = arm(1_904) + arm(96, latency_ms=300)
    ours_ms, usual_ms = (of.latency_quantile_ms(0.95) for of in (candidate, champion))
    assert ours_ms is not None
    assert usual_ms is not None
    assert ours_ms > RULE.max_latency_ratio * usual_ms
    found = judged(candidate, champion)
    assert found.outcome is outcome, found.reason


def test_nothing_is_beyond_doubt_before_twenty_were_seen() -> None:
    """However bad they were: the first seconds of a version are like no others."""
    assert judged(arm(19, errors=19)).outcome is Outcome.WAIT
    assert judged(arm(19, compared=19)).outcome is Outcome.WAIT
    assert judged(arm(20, errors=20)).outcome is Outcome.FAIL
    assert judged(arm(20, compared=20)).outcome is Outcome.FAIL


def test_evidence_becomes_json_without_infinity() -> None:
    found = as_json({Arm.CANDIDATE: arm(10, latency_ms=9_000), Arm.CHAMPION: arm(0)})
    assert found["candidate"]["p95_ms"] is None
    assert found["candidate"]["requests"] == 10
    assert found["champion"]["p95_ms"] is None
