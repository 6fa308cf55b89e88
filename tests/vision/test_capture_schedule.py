from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.capture.schedule import Pacer, Schedule


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


def taken(schedule: Schedule, times_s: list[float]) -> list[float]:
    """Take whatever is due at these times."""
    due = []
    for now_s in times_s:
        if schedule.is_due(now_s):
            schedule.take(now_s)
            due.append(now_s)
    return due


def test_it_is_due_at_once_and_then_keeps_its_rhythm() -> None:
    quarters = [7 + number / 4 for number in range(41)]
    assert taken(Schedule(2.0), quarters) == [7, 9, 11, 13, 15, 17]


def test_what_is_a_little_late_does_not_shift_what_follows() -> None:
    assert taken(Schedule(10.0), [0, 11.5, 20, 29.9, 30]) == [0, 11.5, 20, 30]


def test_after_a_long_wait_it_counts_anew() -> None:
    assert taken(Schedule(10.0), [0, 35, 40, 44, 45]) == [0, 35, 45]


@given(
    st.floats(0.2, 1_000),
    st.lists(st.floats(0, 10_000), min_size=1, max_size=50).map(sorted),
)
def test_there_is_never_more_than_one_in_a_period(every_s: float, times_s: list[float]) -> None:
    due = taken(Schedule(every_s), times_s)
    assert due[0] == times_s[0]
    # Lateness may bring two closer together than a period, never three closer than two.
    for first, third in zip(due, due[2:], strict=False):
        assert third - first >= every_s * (1 - 1e-9)


def test_a_file_is_read_no_faster_than_it_was_filmed() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now_s, clock.sleep)
    for number in range(50):
        pacer.wait_for(3.0 + number / 25)
    assert round(clock.now_s - 100, 6) == round(49 / 25, 6)


def test_what_is_late_is_not_waited_for() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now_s, clock.sleep)
    pacer.wait_for(0.0)
    clock.now_s += 5
    pacer.wait_for(1.0)
    assert clock.now_s == 105


def test_a_pause_of_ten_seconds_is_waited_for() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now_s, clock.sleep)
    pacer.wait_for(0.0)
    pacer.wait_for(10.0)
    assert clock.now_s == 110


def test_a_jump_in_the_stream_is_not_waited_for() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now_s, clock.sleep)
    pacer.wait_for(0.0)
    for jump_s in (10.1, 1_000_000.0, -1_000_000.0):
        pacer.wait_for(jump_s)
        assert clock.now_s == 100
