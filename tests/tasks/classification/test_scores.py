from math import isnan, sqrt
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from visionops_assets.tasks.class_scores import COLUMNS
from visionops_assets.tasks.classification.scores import Measure, Score, score
from visionops_assets.vision.metrics import Indices, wilson_interval

CLASSES = ("cat", "dog", "fox")
TRUTH = np.array([0] * 10 + [1] * 10 + [2] * 20)
ANSWERS = np.array([0] * 8 + [1] * 2 + [1] * 10 + [2] * 19 + [0])
SCORES = score(TRUTH, ANSWERS, CLASSES)


def test_the_table_has_a_row_a_number() -> None:
    table = SCORES.table
    assert table.columns.tolist() == COLUMNS
    expected = [("accuracy", "")] + [
        (measure, name) for measure in ("precision", "recall", "f1") for name in ("", *CLASSES)
    ]
    assert list(zip(table["measure"], table["class"], strict=True)) == expected
    assert table.dtypes[["value", "low", "high", "support"]].tolist() == [
        *[np.dtype(np.float64)] * 3,
        np.dtype(np.int64),
    ]


def test_accuracy_precision_and_recall_have_wilson_limits() -> None:
    assert SCORES.of("accuracy") == Score(37 / 40, *wilson_interval(37, 40), 40)
    assert SCORES.of("recall", "cat") == Score(0.8, *wilson_interval(8, 10), 10)
    assert SCORES.of("precision", "dog") == Score(10 / 12, *wilson_interval(10, 12), 10)


def test_limits_of_f1_are_wilsons_of_what_it_rises_with() -> None:
    # 8 right, 1 other taken for a cat, 2 cats taken for dogs.
    low, high = wilson_interval(8, 11)
    expected = Score(16 / 19, 2 * low / (1 + low), 2 * high / (1 + high), 10)
    assert SCORES.of("f1", "cat") == pytest.approx(expected)


def test_limits_of_macro_averages_combine_those_of_the_classes_by_squares() -> None:
    """An error counts in the F1 of two classes, so there the squares count twice."""
    for measure, times in (("precision", 1), ("recall", 1), ("f1", 2)):
        of_classes = [SCORES.of(cast("Measure", measure), name) for name in CLASSES]
        below = sqrt(times * sum((one.value - one.low) ** 2 for one in of_classes)) / 3
        above = sqrt(times * sum((one.high - one.value) ** 2 for one in of_classes)) / 3
        overall = SCORES.of(cast("Measure", measure))
        assert overall.low == pytest.approx(overall.value - below)
        assert overall.high == pytest.approx(min(1, overall.value + above))


def test_macro_averages_are_those_of_scikit_learn() -> None:
    for measure, reference in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        overall = SCORES.table.query(f"measure == '{measure}' and `class` == ''").iloc[0]
        assert overall.value == pytest.approx(reference(TRUTH, ANSWERS, average="macro"))
        assert overall.support == 40


def test_all_right_is_not_certain() -> None:
    scores = score(TRUTH, TRUTH, CLASSES)
    measures: tuple[Measure, ...] = ("accuracy", "precision", "recall", "f1")
    for measure in measures:
        overall = scores.of(measure)
        assert overall.value == overall.high == 1
        assert 0.8 < overall.low < 0.97


def test_a_class_without_items_has_no_value_and_no_part_in_the_average() -> None:
    scores = score(np.array([0, 0, 1]), np.array([0, 1, 1]), CLASSES)
    missing = scores.of("recall", "fox")
    assert isnan(missing.value)
    assert isnan(missing.low)
    assert isnan(missing.high)
    assert missing.support == 0
    assert scores.of("recall").value == pytest.approx(0.75)


@pytest.mark.parametrize(("accuracy", "at_least"), [(0.75, 0.9), (0.95, 0.87), (0.99, 0.87)])
def test_macro_limits_hold_the_truth(accuracy: float, at_least: float) -> None:
    rng = np.random.default_rng(0)
    classes, held, rounds = tuple("abcde"), 0, 40
    for _ in range(rounds):
        truth = rng.integers(0, 5, 150)
        other = (truth + rng.integers(1, 5, 150)) % 5
        overall = score(truth, np.where(rng.random(150) < accuracy, truth, other), classes).of("f1")
        held += overall.low <= accuracy <= overall.high
    assert held >= at_least * rounds


indices = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@given(indices)
def test_every_value_lies_within_its_limits(pairs: list[tuple[int, int]]) -> None:
    truth, answered = (np.array(column) for column in zip(*pairs, strict=True))
    table = score(truth, answered, CLASSES).table.dropna()
    assert (table["low"] >= 0).all()
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["value"] <= table["high"] + 1e-12).all()
    assert (table["high"] <= 1).all()


@pytest.mark.parametrize(
    ("truth", "answered"),
    [
        (np.zeros(0, np.int64), np.zeros(0, np.int64)),
        (np.array([0, 1]), np.array([0])),
        (np.array([0, 3]), np.array([0, 1])),
        (np.array([0, 1]), np.array([-1, 1])),
    ],
)
def test_what_cannot_be_scored_is_refused(truth: Indices, answered: Indices) -> None:
    with pytest.raises(ValueError, match=r"scored|within"):
        score(truth, answered, CLASSES)


def test_an_unknown_class_is_an_error() -> None:
    with pytest.raises(KeyError, match="owl"):
        SCORES.of("f1", "owl")


def test_a_macro_average_has_limits_on_both_sides_of_it() -> None:
    """Where neither ends at 0 or 1: two classes, half of each right, 100 times."""
    truth = np.repeat([0, 1], 100)
    found = score(truth, np.tile([0, 1], 100), ("cat", "dog")).of("recall")
    low, high = wilson_interval(50, 100)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx(
        (0.5 - (0.5 - low) / sqrt(2), 0.5 + (high - 0.5) / sqrt(2))
    )


def test_a_perfect_average_ends_at_1() -> None:
    truth = np.repeat([0, 1], 100)
    assert score(truth, truth, ("cat", "dog")).of("recall").high == 1.0
    assert score(truth, 1 - truth, ("cat", "dog")).of("recall").low == 0.0
