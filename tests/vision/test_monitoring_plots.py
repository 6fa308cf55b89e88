from functools import partial

import numpy as np
import pandas as pd
import pytest

from visionops_assets.tasks.classification.scores import score
from visionops_assets.tasks.plots import score_bars
from visionops_assets.vision import monitoring_plots as plots
from visionops_assets.vision.monitoring.drift import TestResult
from visionops_assets.vision.monitoring.sequential import ErrorDetector
from visionops_assets.vision.monitoring_plots import TimelineEvent
from visionops_assets.vision.preprocessing import Frame, decode_frame

RNG = np.random.default_rng(0)
HEALTHY = RNG.random(200) < 0.05
FALLEN = np.concatenate([HEALTHY, RNG.random(120) < 0.4])
DETECTOR = ErrorDetector(0.9)
CALM, ALARMED = DETECTOR.run(HEALTHY), DETECTOR.run(FALLEN)
SCORES = score(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ("cat", "dog", "fox")).table
BLUE, ORANGE, RED = [0x2B, 0x6C, 0xB0], [0xDD, 0x6B, 0x20], [0xB3, 0x26, 0x1E]
CHANGED = TimelineEvent(3.0, "images are changed")


def colours(png: bytes) -> list[list[int]]:
    pixels: Frame = decode_frame(png).reshape(-1, 3)
    unique: list[list[int]] = np.unique(pixels, axis=0).tolist()
    return unique


@pytest.mark.parametrize(
    "draw",
    [
        partial(plots.evidence_over_labels, CALM.log_evidence, CALM.log_threshold),
        partial(plots.evidence_over_labels, CALM.log_evidence[:1], 8.0, HEALTHY[:1], 0.9),
        partial(score_bars, SCORES),
        partial(plots.drift_overview, {"embeddings": TestResult(-0.001, 1.0)}),
        partial(plots.distribution_shift, np.ones(3), np.ones(1), "brightness"),
        partial(plots.timeline, [], {"version 1": [(0.0, 0.9)], "version 2": []}),
        partial(plots.timeline, [CHANGED] * 5, {"version 1": [(0.0, 0.9), (9.0, 0.5)]}, limit=0.9),
    ],
)
def test_every_plot_draws_without_a_warning(draw: "partial[bytes]") -> None:
    assert len(colours(draw())) > 10


def test_accuracy_is_drawn_above_the_evidence() -> None:
    evidence = partial(plots.evidence_over_labels, ALARMED.log_evidence, ALARMED.log_threshold)
    alone, with_accuracy = decode_frame(evidence()), decode_frame(evidence(FALLEN, 0.9))
    assert with_accuracy.shape[0] > 1.5 * alone.shape[0]


def test_an_alarm_is_marked() -> None:
    assert ALARMED.alarm_at is not None
    reds = [
        int((decode_frame(picture).reshape(-1, 3) == RED).all(axis=1).sum())
        for picture in (
            plots.evidence_over_labels(ALARMED.log_evidence[:end], ALARMED.log_threshold)
            for end in (ALARMED.alarm_at - 1, ALARMED.alarm_at)
        )
    ]
    assert reds[1] > reds[0] + 20


def test_what_drifted_is_red_and_what_did_not_blue() -> None:
    drifted = colours(plots.drift_overview({"noise": TestResult(0.3, 0.001)}))
    calm = colours(plots.drift_overview({"noise": TestResult(0.3, 0.5)}))
    assert RED in drifted
    assert BLUE not in drifted
    assert BLUE in calm
    assert RED not in calm


def test_both_samples_and_every_class_are_drawn() -> None:
    shift = colours(plots.distribution_shift(np.zeros(9), np.linspace(1, 2, 9), "noise"))
    assert BLUE in shift
    assert ORANGE in shift
    few, many = (
        decode_frame(
            score_bars(score(np.arange(count), np.arange(count), tuple("abcdefgh")[:count]).table)
        )
        for count in (2, 8)
    )
    assert many.shape[0] > few.shape[0] + 100


def test_events_of_a_timeline_are_listed_below_it() -> None:
    points = {"version 1": [(0.0, 0.9), (9.0, 0.5)]}
    plain = decode_frame(plots.timeline([], points))
    listed = decode_frame(plots.timeline([CHANGED, TimelineEvent(4.0, "alarm")] * 3, points))
    assert listed.shape[0] > plain.shape[0] + 40
    below = listed[plain.shape[0] :]
    assert (below < 128).any()


@pytest.mark.parametrize(
    "draw",
    [
        partial(plots.evidence_over_labels, np.zeros(0), 8.0),
        partial(score_bars, pd.DataFrame(SCORES.iloc[:1])),
        partial(plots.drift_overview, {}),
        partial(plots.distribution_shift, np.zeros(0), np.ones(3), "noise"),
        partial(plots.timeline, [CHANGED], {"version 1": []}),
    ],
)
def test_nothing_to_draw_is_an_error(draw: "partial[bytes]") -> None:
    with pytest.raises(ValueError, match=r"at least one|no "):
        draw()


def test_errors_belong_to_labels() -> None:
    with pytest.raises(ValueError, match="errors for"):
        plots.evidence_over_labels(CALM.log_evidence, CALM.log_threshold, HEALTHY[:3])
