"""How soon a fallen accuracy raises an alarm, and how often one is raised for nothing.

Needs no running stack: 1,000 simulated streams of right and wrong answers are replayed for each
figure. Beside the detector stand what was required of it, and two rules in common use on the same
streams: a sliding window, and windows in a row. The rules as they are used are quick because they
cry wolf; against them the goals of delays are the price that is accepted for being quiet. So each
rule stands there a second time, its windows allowed more errors until its false alarms at the limit
are as rare as the detector's: that is the comparison to win.

Not here: the detector itself (`vision/monitoring/sequential.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Figure, Question, figure
from visionops_assets.settings import Settings
from visionops_assets.vision.metrics import wilson_interval
from visionops_assets.vision.monitoring.sequential import ErrorDetector

Streams = npt.NDArray[np.bool_]
"""Flags of answers, one stream per row: True where one was wrong, or where an alarm stands."""
Rule = Callable[[Streams], Streams]
"""From answers to where an alarm stands, of the same shape."""

STREAMS = 1_000
LOTS = 5
"""The spread of a median delay is that of the medians of this many lots of streams."""
SEED = 0
LIMIT = 0.90
HEALTHY = LIMIT + 0.03
WATCHED_LABELS = 5_000
WARM_UP_LABELS = 150
"""Healthy labels before each fall, which fill the windows of the rules."""
SLIDING_LABELS = 100
ROW_LABELS = 50
WINDOWS_IN_A_ROW = 3
MAX_FALSE_ALARMS_PERCENT = 1.0


@dataclass(frozen=True)
class Fall:
    """An accuracy below the limit, and the labels after which half of the alarms must be up.

    `replayed_labels` follow the fall; a stream without an alarm counts as if it had one then.
    """

    points_below: int
    required_labels: int
    replayed_labels: int


FALLS = (Fall(27, 60, 1_000), Fall(5, 900, 6_000))


@dataclass(frozen=True)
class Rival:
    """A rule in common use, by how many errors one of its windows may have, and its goals.

    `errors_at_limit` is the number at which a window's accuracy is just the limit. `delay_goals`
    are the ratios of delays to reach, after each of `FALLS`.
    """

    name: str
    rule: Callable[[Streams, int], Streams]
    errors_at_limit: int
    delay_goals: tuple[float, ...]

    def allowing(self, max_errors: int) -> Rule:
        """Return the rule with that many errors allowed in a window."""
        return lambda errors: self.rule(errors, max_errors)


def measure(_settings: Settings) -> list[Figure]:
    """Replay all streams: false alarms first, then the delay after each fall."""
    rng = np.random.default_rng(SEED)
    healthy, at_limit = (_streams(rng, share, WATCHED_LABELS) for share in (HEALTHY, LIMIT))
    allowed = _false_alarms(detector, at_limit)
    plain = [(rival, rival.allowing(rival.errors_at_limit)) for rival in RIVALS]
    quiet = [(rival, _quietened(rival, at_limit, allowed)) for rival in RIVALS]
    figures = list(_false_alarm_figures(healthy, plain))
    for index, fall in enumerate(FALLS):
        errors = _fallen(rng, fall)
        delays = _delays(detector, errors)
        figures.append(_required(fall, delays))
        for rival, rule in plain:
            goal = rival.delay_goals[index]
            figures.append(_against(fall, rival.name, goal, delays, _delays(rule, errors)))
        for rival, rule in quiet:
            name = f"{rival.name}, with as few false alarms at the limit"
            figures.append(_against(fall, name, 1.0, delays, _delays(rule, errors)))
    return figures


def _streams(rng: np.random.Generator, accuracy: float, labels: int) -> Streams:
    return rng.random((STREAMS, labels)) >= accuracy


def _fallen(rng: np.random.Generator, fall: Fall) -> Streams:
    before = _streams(rng, HEALTHY, WARM_UP_LABELS)
    after = _streams(rng, LIMIT - fall.points_below / 100, fall.replayed_labels)
    return np.concatenate([before, after], axis=1)


def detector(errors: Streams) -> Streams:
    """Say where the evidence of our detector, by its default run length, reaches its threshold."""
    ours = ErrorDetector(LIMIT)
    results = [ours.run(stream) for stream in errors]
    return np.stack([result.log_evidence >= result.log_threshold for result in results])


def sliding_window(errors: Streams, max_errors: int) -> Streams:
    """Say where the last 100 answers have more errors than allowed; never before there are 100."""
    totals = np.cumsum(np.pad(errors, ((0, 0), (1, 0))), axis=1)
    alarm = np.zeros_like(errors)
    in_window: npt.NDArray[np.int64] = totals[:, SLIDING_LABELS:] - totals[:, :-SLIDING_LABELS]
    alarm[:, SLIDING_LABELS - 1 :] = in_window > max_errors
    return alarm


def windows_in_a_row(errors: Streams, max_errors: int) -> Streams:
    """Say where the third window of 50 in a row ends, all of them with more errors than allowed."""
    windows = errors.shape[1] // ROW_LABELS
    by_window = errors[:, : windows * ROW_LABELS].reshape(len(errors), windows, ROW_LABELS)
    bad = by_window.sum(axis=2) > max_errors
    runs = np.lib.stride_tricks.sliding_window_view(bad, WINDOWS_IN_A_ROW, axis=1).all(axis=2)
    alarm = np.zeros_like(errors)
    ends = ROW_LABELS * np.arange(WINDOWS_IN_A_ROW, windows + 1) - 1
    alarm[:, ends] = runs
    return alarm


RIVALS = (
    Rival("a sliding window of 100 labels", sliding_window, 10, delay_goals=(0.2, 0.05)),
    Rival("3 windows of 50 labels in a row", windows_in_a_row, 5, delay_goals=(1.0, 0.2)),
)


def _false_alarms(rule: Rule, errors: Streams) -> int:
    return int(rule(errors).any(axis=1).sum())


def _quietened(rival: Rival, at_limit: Streams, allowed: int) -> Rule:
    """Allow a rival's windows more errors until it has at most `allowed` false alarms."""
    for max_errors in count(rival.errors_at_limit):
        rule = rival.allowing(max_errors)
        if _false_alarms(rule, at_limit) <= allowed:
            return rule
    raise AssertionError("A window that may be all errors raises no alarm.")


def _false_alarm_figures(healthy: Streams, rivals: list[tuple[Rival, Rule]]) -> Iterator[Figure]:
    """Compare the upper 95 % limits of false alarms, which are above zero even if none was seen."""
    name = "streams with a false alarm in 5,000 labels, 3 points above the limit, upper bound"
    ours = _upper_bound_percent(detector, healthy)
    required = Question(name, "%", "required at most", 1.0, "less")
    yield figure(required, [(ours, MAX_FALSE_ALARMS_PERCENT)])
    for rival, rule in rivals:
        question = Question(name, "%", rival.name, 10.0, "less")
        yield figure(question, [(ours, _upper_bound_percent(rule, healthy))])


def _upper_bound_percent(rule: Rule, healthy: Streams) -> float:
    return 100 * wilson_interval(_false_alarms(rule, healthy), len(healthy)).high


def _delays(rule: Rule, errors: Streams) -> list[float]:
    """Return the median number of labels from the fall to the alarm, one per lot.

    An alarm that stands when accuracy falls counts as one after the first label, which favours
    rules that often raise one.
    """
    alarm = rule(errors)[:, WARM_UP_LABELS:]
    labels = np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, alarm.shape[1])
    return [float(np.median(lot)) for lot in np.split(labels, LOTS)]


def _question(fall: Fall, limit_name: str, goal: float) -> Question:
    name = f"labels to alarm, {fall.points_below} points below the limit, median"
    return Question(name, "labels", limit_name, goal, "less")


def _required(fall: Fall, delays: list[float]) -> Figure:
    pairs = [(delay, float(fall.required_labels)) for delay in delays]
    return figure(_question(fall, "required at most", 1.0), pairs)


def _against(
    fall: Fall, limit_name: str, goal: float, delays: list[float], rivals: list[float]
) -> Figure:
    return figure(_question(fall, limit_name, goal), list(zip(delays, rivals, strict=True)))
