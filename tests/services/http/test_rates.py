"""Requests are counted in windows, each person's apart."""

from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond

from visionops_assets.services.http import rates
from visionops_assets.services.http.rates import Windows

LIMIT = RateLimitItemPerSecond(3)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.9, 1.0, 2.5]), max_size=60))
def test_a_window_lets_as_many_pass_as_its_limit_says(gaps_s: list[float]) -> None:
    clock = Clock()
    windows = Windows(clock)
    began_s, hits = -1.0, 0
    for gap_s in gaps_s:
        clock.now_s += gap_s
        if clock.now_s >= began_s + 1:
            began_s, hits = clock.now_s, 0
        hits += 1
        assert (windows.hit(LIMIT, "key", "one") is None) == (hits <= 3)


def test_who_is_refused_learns_when_the_window_ends() -> None:
    clock = Clock()
    windows = Windows(clock)
    minute = RateLimitItemPerMinute(1)
    assert windows.hit(minute, "key", "one") is None
    clock.now_s += 20.5
    assert windows.hit(minute, "key", "one") == 40
    clock.now_s += 39.4
    assert windows.hit(minute, "key", "one") == 1
    clock.now_s += 0.1
    assert windows.hit(minute, "key", "one") is None


def test_people_kinds_and_periods_are_counted_apart() -> None:
    windows = Windows(Clock())
    once = RateLimitItemPerHour(1)
    for limit, kind, who in [
        *((once, "key", "one"), (once, "key", "two"), (once, "noise", "one")),
        (RateLimitItemPerSecond(1), "key", "one"),
    ]:
        assert windows.hit(limit, kind, who) is None
        assert windows.hit(limit, kind, who) is not None


def test_windows_that_have_ended_are_forgotten() -> None:
    clock = Clock()
    windows = Windows(clock)
    for number in range(rates.MAX_HELD):
        windows.hit(LIMIT, "noise", str(number))
        clock.now_s += 0.001
    windows.hit(LIMIT, "noise", "new")
    # Those of the last second are held, and this one.
    assert 990 <= len(windows._held) <= 1_010
