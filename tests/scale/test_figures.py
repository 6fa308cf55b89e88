"""What the figures of a run say, and which goals they miss."""

from dataclasses import replace

import pytest

from tests.scale.figures import Figures, Part, figures_of, missed
from tests.scale.watching import Sample


def part(began_s: float, ended_s: float, cpu_s: tuple[float, float], memory_mb: float) -> Part:
    """Return a part of 1,000 media, with a server `one` and the whole CPU time at its ends."""
    ends = ((began_s, 0, cpu_s[0], 1.0), (ended_s, 1_000, cpu_s[1], memory_mb))
    return Part(
        1_000,
        [Sample(at, n, n, 0, {"one": cpu}, {"one": mb}, 20.0) for at, n, cpu, mb in ends],
    )


TICKS = [(0.0, 9.0), (1.0, 30.0), (2.0, 10.0), (25.0, 99.0), (31.0, 50.0)]
PARTS = [part(0, 10, (5, 15), 80), part(10, 30, (15, 60), 200), part(30, 40, (60, 72), 90)]


def test_the_last_part_is_compared_with_the_first() -> None:
    found = figures_of(PARTS, TICKS)
    assert (found.media, found.seconds, found.media_per_minute) == (3_000, 40.0, 4_500)
    assert (found.cost_ms_first, found.cost_ms_last) == (10.0, 12.0)
    assert found.cost_ratio_last_to_first == 1.2
    assert found.peak_mb_by_server == {"one": 200.0}
    assert (found.peak_mb_first, found.peak_mb_last) == ({"one": 80.0}, {"one": 90.0})
    assert (found.tick_ms_first, found.tick_ms_last) == (10.0, 50.0)
    assert found.missed == ["at least 8,000 per minute"]


GOOD = replace(figures_of(PARTS, TICKS), media_per_minute=8_000)


def test_goals_that_are_just_reached_are_not_missed() -> None:
    at_limits = replace(
        GOOD,
        peak_mb_first={"one": 1_000.0, "two": 10.0},
        peak_mb_last={"one": 1_200.0, "two": 42.0, "three": 32.0},
        page_ms_first=400.0,
        page_ms_last=600.0,
        tick_ms_first=50.0,
        tick_ms_last=150.0,
    )
    assert missed(at_limits) == []


@pytest.mark.parametrize(
    ("changed", "goal"),
    [
        (replace(GOOD, media_per_minute=7_999), "at least 8,000 per minute"),
        (replace(GOOD, cost_ratio_last_to_first=1.21), "CPU time per media"),
        (replace(GOOD, peak_mb_last={"one": 113.0, "two": 33.0}), "memory of one, two"),
        (replace(GOOD, page_ms_last=121.0), "Dagster's pages"),
        (replace(GOOD, tick_ms_last=111.0), "ticks of sensors"),
    ],
)
def test_each_goal_can_be_missed(changed: Figures, goal: str) -> None:
    assert missed(changed) == [goal]
