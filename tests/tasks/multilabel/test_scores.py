"""F1 by groups, and the thresholds that reach it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from visionops_assets.tasks.multilabel.scores import choose_thresholds, f1_scores


def flags(seed: int, count: int, share: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3)) < share


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_scores_are_those_of_another_implementation(seed: int, count: int) -> None:
    truth, named = flags(seed, count), flags(seed + 1, count)
    found = f1_scores(truth, named, [str(number) for number in range(count)])
    known = (truth | named).any(axis=0)
    if known.any():
        expected = f1_score(truth[:, known], named[:, known], average="macro", zero_division=0)
        assert found["macro_f1"].value == pytest.approx(expected)
        expected = f1_score(truth, named, average="micro", zero_division=0)
        assert found["micro_f1"].value == pytest.approx(expected)


def test_a_rare_class_counts_for_macro_as_much_as_a_common_one() -> None:
    truth = np.array([[True, False]] * 9 + [[True, True]])
    named = np.array([[True, False]] * 10)
    found = f1_scores(truth, named, [str(number) for number in range(10)])
    assert found["macro_f1"].value == pytest.approx(0.5)
    assert found["micro_f1"].value == pytest.approx(20 / 21)


def test_intervals_count_groups_and_not_images() -> None:
    truth = flags(0, 40)
    named = np.where(flags(1, 40, 0.2), ~truth, truth)
    single = [str(number) for number in range(40)]
    by_image = f1_scores(truth, named, single)
    copied = f1_scores(np.repeat(truth, 9, 0), np.repeat(named, 9, 0), list(np.repeat(single, 9)))
    for name, score in by_image.items():
        assert score.groups == copied[name].groups == 40
        assert score.interval.low < score.value < score.interval.high
        assert copied[name].interval == pytest.approx(score.interval)
    alone = f1_scores(np.repeat(truth, 9, 0), np.repeat(named, 9, 0), [str(i) for i in range(360)])
    narrow, wide = alone["macro_f1"].interval, by_image["macro_f1"].interval
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_few_groups_tell_nothing() -> None:
    found = f1_scores(flags(0, 5), flags(1, 5), list("abcde"))
    assert found["macro_f1"].interval == (0, 1)
    with pytest.raises(ValueError, match="0 groups"):
        f1_scores(flags(0, 0), flags(0, 0), [])


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_no_other_threshold_of_a_class_is_better(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, truth = rng.random((count, 2)), flags(seed, count)[:, :2]
    for column, threshold in enumerate(choose_thresholds(probabilities, truth)):
        of_class, its = probabilities[:, column], truth[:, column]
        if its.all() or not its.any():
            assert threshold == 0.5
            continue
        best = max(f1_score(its, of_class >= level, zero_division=0) for level in of_class)
        others = f1_score(its, of_class >= threshold, zero_division=0)
        assert others >= best - 1e-9 or (of_class >= min(of_class)).all()


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_chosen() -> None:
    truth = np.array([[False], [True]])
    assert choose_thresholds(np.array([[0.3], [0.9]]), truth) == (0.5,)
    [chosen] = choose_thresholds(np.array([[0.7], [0.9]]), truth)
    assert chosen == pytest.approx(0.8)
