"""How long a client waits before it comes again, and when it gives up."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_client.retrying import (
    FIRST_BACKOFF_S,
    Retrying,
    TemporaryError,
    jittered_backoff_s,
)

LONGEST_S = 30


@pytest.mark.parametrize(
    ("failures", "most_s"), [(0, 0.5), (1, 1), (2, 2), (5, 16), (6, 30), (10, 30), (10_000, 30)]
)
def test_waits_double_up_to_half_a_minute(
    monkeypatch: pytest.MonkeyPatch, failures: int, most_s: float
) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", uniform)
    assert jittered_backoff_s(failures) == most_s
    assert asked == [(0, most_s)], "by chance from nothing on, so that nobody comes together"


@given(st.integers(0, 10**9))
def test_no_wait_is_longer_than_the_longest(failures: int) -> None:
    assert 0 <= jittered_backoff_s(failures) <= LONGEST_S


class Clock:
    """A clock that moves by the pauses alone."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.pauses_s: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, times: int, retry_after_s: float = 0.0) -> None:
        self.left = times
        self.retry_after_s = retry_after_s

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise TemporaryError("Later.", self.retry_after_s)
        return "answer"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    return Clock()


def caller(clock: Clock, retry_for_s: float) -> Retrying:
    return Retrying(retry_for_s, clock_s=lambda: clock.now_s, pause=clock.pause)


def test_it_comes_again_until_there_is_an_answer(clock: Clock) -> None:
    assert caller(clock, 60).call(Failing(3)) == "answer"
    assert clock.pauses_s == [FIRST_BACKOFF_S, 1, 2]


def test_what_the_server_asked_for_is_waited_as_well(clock: Clock) -> None:
    assert caller(clock, 60).call(Failing(2, retry_after_s=7)) == "answer"
    assert clock.pauses_s == [7.5, 8]


@pytest.mark.parametrize(("retry_for_s", "answered"), [(3.5, True), (3.4, False)])
def test_an_attempt_that_would_come_too_late_is_none(
    clock: Clock, retry_for_s: float, answered: bool
) -> None:
    """The third wait ends 3.5 s after the first attempt."""
    for within_s, patience_s in ((None, retry_for_s), (retry_for_s, 60)):
        clock.pauses_s.clear()
        clock.now_s = 100.0
        asking = caller(clock, patience_s)
        if answered:
            assert asking.call(Failing(3), within_s) == "answer"
        else:
            with pytest.raises(TemporaryError):
                asking.call(Failing(3), within_s)
            assert clock.pauses_s == [0.5, 1]


def test_the_shorter_of_two_patiences_counts(clock: Clock) -> None:
    with pytest.raises(TemporaryError):
        caller(clock, 0.4).call(Failing(1), 60)
    assert clock.pauses_s == []


def test_once_stopped_nothing_comes_again(clock: Clock) -> None:
    asking = caller(clock, 60)
    asking.stop()
    with pytest.raises(TemporaryError):
        asking.call(Failing(1))
    assert clock.pauses_s == []


def test_one_that_is_stopped_while_it_waits_does_not_come_again(clock: Clock) -> None:
    attempts = Failing(5)

    def pause(_seconds: float) -> None:
        asking.stop()

    asking = Retrying(60, clock_s=lambda: clock.now_s, pause=pause)
    with pytest.raises(TemporaryError):
        asking.call(attempts)
    assert attempts.left == 4
