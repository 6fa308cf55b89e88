"""Canaries and shadows on a live Triton and catalog: started, judged by rule, ended, audited.

What gateways would see of them is written by the tests; that they see it is the gateway's test.
"""

from collections.abc import Iterator

import pytest

from tests.integration.released_models import IMAGE, ORDER, Serving, over_grpc, steady_load
from tests.waiting import eventually
from visionops_assets.catalog.rollouts import ArmEvidence, active_rollout, put_evidence
from visionops_assets.contracts import Arm, Role, Rollout
from visionops_assets.errors import GateRefusedError, RolloutError
from visionops_assets.releasing import convergence
from visionops_assets.releasing.audit import RULE
from visionops_assets.releasing.judging import RolloutRule
from visionops_assets.settings import Settings

RULES = RolloutRule(
    min_requests=50,
    max_error_increase=0.01,
    max_latency_ratio=1.5,
    min_agreement=0.9,
    max_s=3_600,
)


@pytest.fixture
def serving(stack: Settings) -> Iterator[Serving]:
    """A model of its own with champion 1, and version 2 that passed the gate."""
    serving = Serving(stack)
    serving.release(1)
    serving.offer(2)
    yield serving
    serving.unload()


def start(serving: Serving, role: Role, version: int = 2) -> Rollout:
    assert role is not Role.CHAMPION
    return serving.rollouts.start(serving.model, version, role, 10, ORDER)


def under_way(serving: Serving) -> Rollout | None:
    """What a gateway would find."""
    with serving.catalog.begin() as session:
        return active_rollout(session, serving.model)


def see(serving: Serving, rollout: Rollout, gateway: str, *, answers: int, errors: int = 0) -> None:
    """Let a gateway have seen healthy answers, ten times as many of the champion, and errors."""
    seen = {arm: ArmEvidence() for arm in Arm}
    for _ in range(answers):
        seen[Arm.CANDIDATE].observe(8.0)
        seen[Arm.CANDIDATE].compare(agreed=True)
    for _ in range(10 * answers):
        seen[Arm.CHAMPION].observe(8.0)
    for _ in range(errors):
        seen[Arm.CANDIDATE].fail()
    with serving.catalog.begin() as session:
        put_evidence(session, rollout.rollout_id, gateway, seen)


def judge(serving: Serving) -> str:
    """Do what the sensor does every ten seconds."""
    return serving.rollouts.apply_rule(serving.model, RULES)


def test_a_good_canary_is_promoted_by_what_all_gateways_saw(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with steady_load(over_grpc(serving)) as load:
        rollout = start(serving, Role.CANARY)
        assert under_way(serving) == rollout
        (answer,) = serving.triton.predict(
            f"{serving.model}-candidate", [IMAGE], record=False, task="classification"
        )
        assert answer.model_version == 2
        see(serving, rollout, "gateway-1", answers=30)
        assert "30 of 50" in judge(serving)
        see(serving, rollout, "gateway-2", answers=30)
        assert "Promoted canary version 2" in judge(serving)
        eventually("an answer of version 2", lambda: 2 in load.versions, 30)
    assert load.errors == []
    assert set(load.versions) == {1, 2}
    assert serving.served() == [2]
    assert under_way(serving) is None
    assert serving.actions() == [
        "promoted 1",
        "canary_started 2",
        "rollout_promoted 2",
        "promoted 2",
    ]
    ended = serving.audit()[2]
    assert ended.actor == RULE
    assert ended.verdict
    assert ended.verdict["candidate"]["requests"] == 60
    # Gateways notice the end within seconds: until then it is not unloaded under them.
    serving.converge()
    assert serving.loaded("-candidate") == [2]
    monkeypatch.setattr(convergence, "CANDIDATE_GRACE_S", 0)
    serving.converge()
    assert serving.loaded("-candidate") == [None]


def test_a_bad_canary_is_ended_early_and_the_champion_serves_on(serving: Serving) -> None:
    rollout = start(serving, Role.CANARY)
    see(serving, rollout, "gateway-1", answers=15, errors=10)
    assert "Failed early" in judge(serving)
    assert serving.served() == [1]
    assert serving.actions()[-1] == "rollout_ended 2"
    assert "10 of 25 requests failed" in serving.audit()[-1].reason
    assert "No canary" in judge(serving)


def test_a_canary_that_may_not_be_promoted_any_more_is_ended(serving: Serving) -> None:
    rollout = start(serving, Role.CANARY)
    serving.judge(2, passed=False)
    see(serving, rollout, "gateway-1", answers=60)
    assert "It was not promoted: The gate did not pass" in judge(serving)
    assert serving.served() == [1]
    assert serving.actions()[-2:] == ["refused 2", "rollout_ended 2"]


def test_a_shadow_that_passes_is_ended_and_never_promoted(serving: Serving) -> None:
    rollout = start(serving, Role.SHADOW)
    see(serving, rollout, "gateway-1", answers=60)
    assert "Ended shadow version 2. Passed" in judge(serving)
    assert serving.served() == [1]
    assert serving.actions() == ["promoted 1", "shadow_started 2", "rollout_ended 2"]


def test_a_server_that_lost_a_candidate_gets_it_back(serving: Serving) -> None:
    start(serving, Role.SHADOW)
    serving.triton.unload(f"{serving.model}-candidate")
    assert "loaded the shadow, version 2" in serving.converge()
    assert serving.loaded("-candidate") == [2]
    assert {serving.model, f"{serving.model}-candidate"} <= set(serving.triton.loaded_models())


def test_what_cannot_be_tried_is_refused_and_noted(serving: Serving) -> None:
    with pytest.raises(RolloutError, match="champion itself"):
        start(serving, Role.CANARY, version=1)
    with pytest.raises(GateRefusedError, match="never evaluated"):
        start(serving, Role.CANARY, version=3)
    start(serving, Role.CANARY)
    serving.offer(3)
    with pytest.raises(RolloutError, match="canary of version 2 is under way"):
        start(serving, Role.SHADOW, version=3)
    assert serving.actions()[1:] == ["refused 1", "refused 3", "canary_started 2", "refused 3"]
    assert serving.loaded("-candidate") == [2]
    ended = serving.rollouts.stop(serving.model, ORDER)
    assert ended.model_version == 2
    with pytest.raises(RolloutError, match="No canary or shadow"):
        serving.rollouts.stop(serving.model, ORDER)


def test_another_champion_ends_a_rollout_that_was_compared_with_the_old_one(
    serving: Serving,
) -> None:
    start(serving, Role.CANARY)
    serving.release(3)
    assert under_way(serving) is None
    assert serving.actions()[-2:] == ["rollout_ended 2", "promoted 3"]
    assert serving.audit()[-2].reason == "Version 3 became champion."
