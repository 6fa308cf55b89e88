from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import POINTS_BY_PROCESS, Kill, draw_waves, every_kill
from visionops_assets.crash_points import CrashPoint

FEWEST = len(every_kill())


def test_every_crash_point_of_media_is_passed_by_one_process() -> None:
    points = [point for points in POINTS_BY_PROCESS.values() for point in points]
    # Releases die at theirs in tests/integration/test_releases.py, erasures in test_forgetting.py.
    others = ("release.", "rollout.", "forget.")
    of_media = [p for p in CrashPoint if not p.value.startswith(others)]
    assert sorted(points) == sorted(of_media)


@given(seed=st.integers(0, 2**32), more=st.integers(0, 100))
def test_a_schedule_holds_every_kill_and_as_many_as_asked(seed: int, more: int) -> None:
    kills = [kill for wave in draw_waves(seed, FEWEST + more, calm_s=1) for kill in wave.kills]
    assert len(kills) == FEWEST + more
    assert set(kills) == set(every_kill())


@given(seed=st.integers(0, 2**32))
def test_a_wave_kills_a_process_once_after_a_pause(seed: int) -> None:
    for wave in draw_waves(seed, 2 * FEWEST, calm_s=4):
        assert max(Counter(kill.process for kill in wave.kills).values()) == 1
        assert 2 <= wave.pause_s <= 6


def test_a_seed_fixes_the_schedule() -> None:
    assert draw_waves(7, 60, 4) == draw_waves(7, 60, 4)
    assert draw_waves(7, 60, 4) != draw_waves(8, 60, 4)


def test_too_few_kills_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        draw_waves(0, FEWEST - 1, 4)


def test_a_kill_is_named_by_its_crash_point_or_its_process() -> None:
    assert Kill("relay").target == "relay"
    assert Kill("relay", CrashPoint.RELAY_MARKED).target == "relay.marked"
