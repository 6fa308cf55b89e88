"""How a release is measured by its newest predictions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.monitoring.references import reference
from visionops_assets.catalog.performance import Observation
from visionops_assets.catalog.schema import Release
from visionops_assets.monitoring.scoring import (
    EVERYTHING,
    SLICED_MEASURES,
    TERCILES,
    both_of,
    measure,
    scores_of,
)
from visionops_assets.resources.columns import names
from visionops_assets.stages.monitoring.performance import COLUMNS, table_of

TASK = "classification"
RELEASE = Release(model_name="m", model_version=2)
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def observation(
    answered: str,
    truth: str | None,
    *,
    confidence: float = 0.9,
    quality: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5),
    lag_s: float = 60,
) -> Observation:
    labelled_at = None if truth is None else MOMENT + timedelta(seconds=lag_s)
    return Observation(uuid4(), MOMENT, answered, confidence, quality, truth, labelled_at)


def test_accuracy_is_of_the_labelled_and_coverage_of_all() -> None:
    seen = [
        *[observation("a", "a")] * 60,
        *[observation("b", "b")] * 30,
        *[observation("a", "b")] * 10,
        *[observation("b", None)] * 150,
    ]
    window = measure(RELEASE, seen, None, TASK)
    assert (window.model_name, window.model_version) == ("m", 2)
    assert (window.predictions, window.labelled, window.correct) == (250, 100, 90)
    assert window.accuracy == pytest.approx(0.9)
    assert window.accuracy_low is not None
    assert window.accuracy_high is not None
    assert window.accuracy_low < 0.9 < window.accuracy_high
    assert window.estimated_accuracy is None


def test_a_label_that_is_no_class_is_counted_apart() -> None:
    slip = replace(observation("a", "aa"), is_of_a_class=False)
    window = measure(RELEASE, [*[observation("a", "a")] * 3, slip], None, TASK)
    assert (window.labelled, window.correct, window.unknown_labels) == (3, 3, 1)
    assert window.accuracy == 1
    assert "aa" not in {row["class"] for row in window.scores}


def test_without_labels_there_is_an_estimate_alone() -> None:
    """Of the reference, sure answers are right and unsure ones are right by half."""
    known = reference(
        labels=["a"] * 200 + ["a", "b"] * 100,
        answered=["a"] * 400,
        probabilities=[[0.9, 0.1]] * 200 + [[0.6, 0.4]] * 200,
    )
    seen = [observation("a", None, confidence=c) for c in [0.9] * 50 + [0.6] * 50]
    window = measure(RELEASE, seen, known, TASK)
    assert (window.accuracy, window.label_lag_s, window.scores) == (None, None, [])
    assert window.estimated_accuracy == pytest.approx(0.75)
    assert window.estimated_low is not None
    assert window.estimated_high is not None
    assert window.estimated_low < 0.75 < window.estimated_high
    assert table_of([window]).iloc[0]["predictions"] == 100


def test_a_confidence_that_rounding_put_above_one_is_estimated_too() -> None:
    known = reference(labels=["a", "b"], answered=["a", "a"], probabilities=[[1.0000001, 0]] * 2)
    window = measure(RELEASE, [observation("a", None, confidence=1.0000001192)], known, TASK)
    assert window.estimated_accuracy == pytest.approx(0.5)


def test_label_lag_is_the_median_and_never_negative() -> None:
    seen = [observation("a", "a", lag_s=lag_s) for lag_s in (10, 30, 3_000)]
    assert measure(RELEASE, seen, None, TASK).label_lag_s == 30
    assert measure(RELEASE, [observation("a", "a", lag_s=-0.5)], None, TASK).label_lag_s == 0
    assert measure(RELEASE, [observation("a", "a", lag_s=0.5)], None, TASK).label_lag_s == 0.5


def test_a_truth_that_the_model_does_not_know_counts_as_wrong() -> None:
    known = reference(labels=["a", "b"], answered=["a", "b"], probabilities=[[1, 0], [0, 1]])
    window = measure(RELEASE, [observation("a", "a"), observation("a", "zebra")], known, TASK)
    assert window.accuracy == 0.5
    recalls = {s["class"]: s["value"] for s in window.scores if s["measure"] == "recall"}
    assert recalls["zebra"] == 0
    assert "b" not in recalls


def test_slices_are_the_terciles_of_the_reference() -> None:
    known = reference(
        labels=["a"] * 9,
        answered=["a"] * 9,
        probabilities=[[1, 0]] * 9,
        quality=[[i / 8, 0.5, 0.5, 0.5] for i in range(9)],
    )
    dark = [observation("a", "b", quality=(0.1, 0.5, 0.5, 0.5))] * 4
    bright = [observation("a", "a", quality=(0.9, 0.5, 0.5, 0.5))] * 6
    scores = scores_of([*dark, *bright], known, TASK)
    overall = scores[scores["measure"] == "accuracy"]
    accuracies = dict(zip(overall["slice"], overall["value"], strict=True))
    supports = dict(zip(overall["slice"], overall["support"], strict=True))
    assert accuracies["all"] == pytest.approx(0.6)
    assert (accuracies["brightness: low"], supports["brightness: low"]) == (0, 4)
    assert (accuracies["brightness: high"], supports["brightness: high"]) == (1, 6)
    assert "brightness: middle" not in accuracies
    assert set(scores[scores["slice"] != "all"]["class"]) == {""}


def test_what_was_not_measured_is_not_sliced() -> None:
    known = reference(labels=["a"], answered=["a"], probabilities=[[1, 0]])
    scores = scores_of([observation("a", "a"), observation("a", "a", quality=())], known, TASK)
    assert set(scores["slice"]) == {"all"}


CASES = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["a", "b", "x", None]),
        st.floats(0, 1),
        st.floats(0, 1, allow_subnormal=False),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=25)
@given(CASES)
def test_a_window_holds_numbers_that_json_and_people_can_read(
    cases: Sequence[tuple[str, str | None, float, float]],
) -> None:
    known = reference(
        labels=["a", "b", "c"],
        answered=["a", "b", "a"],
        probabilities=np.eye(3).tolist(),
        quality=np.linspace(0, 1, 12).reshape(3, 4).tolist(),
    )
    seen = [observation(a, t, confidence=c, quality=(q, q, q, q)) for a, t, c, q in cases]
    window = measure(RELEASE, seen, known, TASK)
    assert window.correct <= window.labelled <= window.predictions == len(cases)
    assert (window.accuracy is None) == (window.labelled == 0)
    numbers = [row[name] for row in window.scores for name in ("low", "value", "high")]
    assert np.isfinite(numbers).all()
    for row in window.scores:
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    by_slice = [s for s in window.scores if s["measure"] == "accuracy"]
    for measure_name in ("brightness", "contrast", "sharpness"):
        supports = [s["support"] for s in by_slice if s["slice"].startswith(measure_name)]
        assert sum(supports) == window.labelled
    assert list(table_of([window]).columns) == names(COLUMNS)


def test_a_table_of_no_windows_has_its_columns() -> None:
    assert list(table_of([]).columns) == names(COLUMNS)


def test_answers_and_labels_are_read_as_their_task_writes_them() -> None:
    seen = [observation("a, b", "b"), observation("", "a, c", confidence=0.5)]
    answers, truth = both_of(seen, "multilabel")
    assert [answer.labels for answer in answers] == [("a", "b"), ()]
    assert [answer.confidence for answer in answers] == [0.9, 0.5]
    assert truth == [("b",), ("a", "c")]
    assert both_of(seen, TASK)[1] == [("b",), ("a, c",)]


def test_sets_of_labels_are_measured_as_sets() -> None:
    seen = [observation("a, b", "a, b"), observation("a", "a, b"), observation("", "")]
    window = measure(RELEASE, seen, None, "multilabel")
    assert window.correct == 2
    assert window.accuracy == pytest.approx(2 / 3)
    values = {(row["measure"], row["class"]): row["value"] for row in window.scores}
    assert values["recall", "b"] == 0.5
    assert values["micro_f1", ""] == pytest.approx(6 / 7)


def test_slices_are_the_thirds_of_the_reference() -> None:
    """Of brightness 0 to 0.9 in the reference, 0.29 is dark, 0.31 is between, 0.61 is bright."""
    levels = np.linspace(0, 0.9, 10)
    known = reference(
        labels=["a"] * 10,
        answered=["a"] * 10,
        probabilities=[[1.0, 0.0]] * 10,
        quality=[[level] * 4 for level in levels],
    )
    third, two_thirds = np.quantile(levels, (1 / 3, 2 / 3))
    seen = [
        observation("a", "a", quality=(level,) * 4)
        for level in (0.0, third - 0.01, third + 0.01, two_thirds - 0.01, two_thirds + 0.01)
    ]
    table = scores_of(seen, known, TASK)
    slices = table[(table["measure"] == "accuracy") & (table["slice"] != EVERYTHING)]
    of_one = slices[slices["slice"].str.startswith(SLICED_MEASURES[0])]
    assert dict(zip(of_one["slice"], of_one["support"], strict=True)) == {
        f"{SLICED_MEASURES[0]}: {name}": count
        for name, count in zip(TERCILES, (2, 2, 1), strict=True)
    }
