from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Question, compare, rate_hz

RATE = Question("uploads", "uploads/s", "bare PUTs", goal=0.7)
DURATION = Question("start", "ms", "bare start", goal=0.7, better="less")
UNSEEN = 1.0


def readings(values: Iterable[float]) -> Callable[[], float]:
    """Measure what is given, after the first pair, which is not counted."""
    remaining = iter([UNSEEN, *values])
    return lambda: next(remaining)


def test_ratio_of_a_rate_is_ours_to_the_limit() -> None:
    figure = compare(RATE, readings([80.0]), readings([100.0]), repeats=1)
    assert figure.ratio == pytest.approx(0.8)


def test_ratio_of_a_duration_is_the_limit_to_ours() -> None:
    figure = compare(DURATION, readings([80.0]), readings([100.0]), repeats=1)
    assert figure.ratio == pytest.approx(1.25)


def test_ours_and_the_limit_take_turns_and_the_first_pair_is_not_counted() -> None:
    turns: list[str] = []

    def measure_as(name: str, values: Iterable[float]) -> Callable[[], float]:
        reading = readings(values)

        def take() -> float:
            turns.append(name)
            return reading()

        return take

    figure = compare(RATE, measure_as("ours", [4.0, 4.0]), measure_as("limit", [8.0, 8.0]), 2)
    assert turns == ["ours", "limit"] * 3
    assert (figure.value, figure.limit, figure.repeats) == (4.0, 8.0, 2)


def test_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians() -> None:
    figure = compare(RATE, readings([10.0, 20.0, 30.0]), readings([40.0, 20.0, 10.0]), repeats=3)
    assert (figure.value, figure.limit) == (20.0, 20.0)
    assert figure.ratio == pytest.approx(1.0)
    assert figure.spread == pytest.approx(3.0 - 0.25)
    slowed = compare(RATE, readings([10.0, 1.0, 30.0]), readings([20.0, 20.0, 90.0]), repeats=3)
    assert slowed.ratio == pytest.approx(1 / 3)
    assert slowed.value / slowed.limit == pytest.approx(0.5)


@pytest.mark.parametrize(("ours", "met"), [(69.9, False), (70.0, True), (71.0, True)])
def test_goal_is_met_or_missed(ours: float, met: bool) -> None:
    assert compare(RATE, readings([ours]), readings([100.0]), repeats=1).is_met is met


@pytest.mark.parametrize(("ours", "met"), [(150.0, False), (140.0, True)])
def test_goal_of_a_duration_is_met_by_less(ours: float, met: bool) -> None:
    assert compare(DURATION, readings([ours]), readings([100.0]), repeats=1).is_met is met


positive = st.floats(min_value=1e-3, max_value=1e6)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=9))
def test_ratio_lies_among_those_of_the_pairs(pairs: list[tuple[float, float]]) -> None:
    ours, limit = zip(*pairs, strict=True)
    for question in (RATE, DURATION):
        figure = compare(question, readings(ours), readings(limit), len(pairs))
        ratios = [a / b if question is RATE else b / a for a, b in pairs]
        assert min(ratios) <= figure.ratio <= max(ratios)
        assert 0 <= figure.spread == max(ratios) - min(ratios)


@pytest.mark.parametrize("wrong", [0.0, -1.0])
def test_a_measurement_not_above_zero_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="uploads"):
        compare(RATE, readings([wrong]), readings([100.0]), repeats=1)


def test_no_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        compare(RATE, readings([]), readings([]), repeats=0)


def test_a_figure_says_what_it_was_asked() -> None:
    question = replace(RATE, name="other", goal=0.1)
    figure = compare(question, readings([1.0]), readings([1.0]), repeats=1)
    assert (figure.name, figure.goal) == ("other", 0.1)
    assert (figure.unit, figure.limit_name) == ("uploads/s", "bare PUTs")


def test_rate_counts_what_was_done_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 14.0])
    monkeypatch.setattr("benchmarks.measure.time.perf_counter", lambda: next(clock))
    assert rate_hz(lambda: 20) == pytest.approx(5.0)
