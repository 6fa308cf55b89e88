"""What becomes of a rollout's judgement, with a catalog that only notes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.releasing.test_judging import RULE, arm, rollout
from visionops_assets.catalog.rollouts import ArmEvidence
from visionops_assets.contracts import Arm, Role, Rollout
from visionops_assets.errors import GateRefusedError
from visionops_assets.releasing import rollouts
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.rollouts import Rollouts

CANARY = rollout(None)
SHADOW = CANARY.model_copy(update={"role": Role.SHADOW})
GOOD, BAD, FEW = arm(200), arm(200, errors=100), arm(199)


class Controller:
    """A catalog and a lock that hold nothing up."""

    @property
    def catalog(self) -> "Controller":
        return self

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None

    @contextmanager
    def locked(self, _audit: object) -> Iterator[None]:
        yield None


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done: `promoted`, or `ended`."""
    done: list[str] = []

    class Releaser:
        def __init__(self, _controller: object) -> None:
            pass

        def promote_in(self, _session: object, _audit: object) -> None:
            done.append("promoted")

    monkeypatch.setattr(rollouts, "Releaser", Releaser)
    monkeypatch.setattr(rollouts, "end", lambda *_: done.append("ended"))
    monkeypatch.setattr(rollouts, "try_lock_releases", lambda *_: True)
    monkeypatch.setattr(rollouts, "rollout_age_s", lambda *_: 60.0)
    monkeypatch.setattr(rollouts, "wanted_engines", lambda *_: [])
    return done


def apply(monkeypatch: pytest.MonkeyPatch, found: Rollout | None, seen: ArmEvidence) -> str:
    monkeypatch.setattr(rollouts, "active_rollout", lambda *_: found)
    both = {Arm.CANDIDATE: seen, Arm.CHAMPION: arm(2_000)}
    monkeypatch.setattr(rollouts, "evidence", lambda *_: both)
    return Rollouts(cast("Any", Controller())).apply_rule("m", RULE)


@pytest.mark.parametrize(
    ("under_way", "seen", "done"),
    [
        (CANARY, GOOD, ["promoted"]),
        (CANARY, BAD, ["ended"]),
        (CANARY, FEW, []),
        (SHADOW, GOOD, ["ended"]),  # it is tried unseen, and never promoted
        (SHADOW, BAD, ["ended"]),
        (SHADOW, FEW, []),
        (None, GOOD, []),
    ],
)
def test_a_canary_that_passes_is_promoted_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
    noted: list[str],
    under_way: Rollout | None,
    seen: ArmEvidence,
    done: list[str],
) -> None:
    apply(monkeypatch, under_way, seen)
    assert noted == done


def test_a_canary_that_cannot_be_promoted_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise GateRefusedError("it was compared with another champion")

    monkeypatch.setattr(cast("Any", rollouts).Releaser, "promote_in", refuse)
    said = apply(monkeypatch, CANARY, GOOD)
    assert noted == ["ended"]
    assert "It was not promoted: it was compared with another champion" in said


@pytest.mark.parametrize("tried", [False, True])
def test_a_repair_that_was_tried_has_no_second_chance(
    monkeypatch: pytest.MonkeyPatch, tried: bool
) -> None:
    """Whatever came of it: it may have failed by its errors."""
    started: list[tuple[Any, ...]] = []

    def start(_self: Rollouts, *arguments: Any, **options: Any) -> Rollout:
        started.append((*arguments, options))
        return CANARY

    monkeypatch.setattr(rollouts, "was_tried", lambda *_: tried)
    monkeypatch.setattr(Rollouts, "start", start)
    order = Order("a test", "why")
    found = Rollouts(cast("Any", Controller())).start_once("m", 2, 20, order)
    if tried:
        assert (found, started) == (None, [])
    else:
        # It is to repair the champion, so it need not agree with it.
        assert found is CANARY
        assert started == [("m", 2, Role.CANARY, 20, order, {"min_agreement": 0})]


def test_the_latency_of_onnx_is_not_compared_with_that_of_an_engine(
    monkeypatch: pytest.MonkeyPatch, noted: list[str]
) -> None:
    slow = arm(200, latency_ms=1_000)
    apply(monkeypatch, CANARY, slow)
    assert noted == ["ended"]
    monkeypatch.setattr(rollouts, "wanted_engines", lambda *_: ["an engine"])
    apply(monkeypatch, CANARY, slow)
    assert noted == ["ended", "promoted"]
