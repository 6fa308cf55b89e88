"""Measures ours against a named limit, in turns, so that other work of the machine hits both.

Not here: the measurements themselves (one module per area), and printing (`report.py`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

REPEATS = 5


@dataclass(frozen=True)
class Question:
    """A measurement, and the goal: the ratio of ours to the limit.

    `unit` is that of both measurements. `better` says which of them wins: "more" for a rate, "less"
    for a duration.
    """

    name: str
    unit: str
    limit_name: str
    goal: float
    better: Literal["more", "less"] = "more"


@dataclass(frozen=True)
class Figure:
    """One measured figure, as it is written to `build/bench/<area>.json`.

    `value` (ours) and `limit` are medians, in `unit`. `ratio` is the median of the ratios of the
    pairs and `spread` the difference between the largest and the smallest of them; more is better.
    """

    name: str
    value: float
    unit: str
    limit: float
    limit_name: str
    ratio: float
    goal: float
    repeats: int
    spread: float

    @property
    def is_met(self) -> bool:
        """Say whether the goal is reached."""
        return self.ratio >= self.goal


def compare(
    question: Question,
    ours: Callable[[], float],
    limit: Callable[[], float],
    repeats: int = REPEATS,
) -> Figure:
    """Measure ours, the limit, ours, the limit ... `repeats` times each, after one pair unseen.

    The pair unseen opens connections and fills caches. Each call returns one measurement, in the
    question's unit.

    Raises:
        ValueError: a measurement is not above zero, or there are no repeats.
    """
    if repeats < 1:
        raise ValueError("A comparison needs at least one pair.")
    return figure(question, [(ours(), limit()) for _ in range(1 + repeats)][1:])


def figure(question: Question, pairs: Sequence[tuple[float, float]]) -> Figure:
    """Summarise measured pairs of (ours, limit), both in the question's unit.

    Raises:
        ValueError: a measurement is not above zero.
    """
    if any(measured <= 0 for pair in pairs for measured in pair):
        raise ValueError(f"{question.name}: a measurement is not above zero: {pairs}")
    ratios = [_ratio(question, *pair) for pair in pairs]
    return Figure(
        name=question.name,
        value=median(our_value for our_value, _ in pairs),
        unit=question.unit,
        limit=median(limit_value for _, limit_value in pairs),
        limit_name=question.limit_name,
        ratio=median(ratios),
        goal=question.goal,
        repeats=len(pairs),
        spread=max(ratios) - min(ratios),
    )


def _ratio(question: Question, our_value: float, limit_value: float) -> float:
    """Turn one pair into a ratio; the larger, the better."""
    if question.better == "more":
        return our_value / limit_value
    return limit_value / our_value


def rate_hz(work: Callable[[], int]) -> float:
    """Run `work`, which returns how many things it did, and return how many it did a second."""
    started_s = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - started_s)
