"""F1 by groups, and the thresholds that reach it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from visionops_assets.tasks.multilabel.scores import choose_thresholds, f1_scores
from visionops_assets.vision.metrics import GroupedShare


def estimates(truth: np.ndarray, named: np.ndarray, groups: list[str]) -> dict[str, GroupedShare]:
    return {score.name: score.estimate(groups) for score in f1_scores(truth, named)}


def flags(seed: int, count: int, share: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3)) < share


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_scores_are_those_of_another_implementation(seed: int, count: int) -> None:
    truth, named = flags(seed, count), flags(seed + 1, count)
    found = estimates(truth, named, [str(number) for number in range(count)])
    known = (truth | named).any(axis=0)
    if known.any():
        expected = f1_score(truth[:, known], named[:, known], average="macro", zero_division=0)
        assert found["macro_f1"].value == pytest.approx(expected)
        expected = f1_score(truth, named, average="micro", zero_division=0)
        assert found["micro_f1"].value == pytest.approx(expected)


def test_a_rare_class_counts_for_macro_as_much_as_a_common_one() -> None:
    truth = np.array([[True, False]] * 9 + [[True, True]])
    named = np.array([[True, False]] * 10)
    found = estimates(truth, named, [str(number) for number in range(10)])
    assert found["macro_f1"].value == pytest.approx(0.5)
    assert found["micro_f1"].value == pytest.approx(20 / 21)


def test_intervals_count_groups_and_not_images() -> None:
    truth = flags(0, 40)
    named = np.where(flags(1, 40, 0.2), ~truth, truth)
    single = [str(number) for number in range(40)]
    by_image = estimates(truth, named, single)
    copied = estimates(np.repeat(truth, 9, 0), np.repeat(named, 9, 0), list(np.repeat(single, 9)))
    for name, score in by_image.items():
        assert score.groups == copied[name].groups == 40
        assert score.interval.low < score.value < score.interval.high
        assert copied[name].interval == pytest.approx(score.interval)
    alone = estimates(np.repeat(truth, 9, 0), np.repeat(named, 9, 0), [str(i) for i in range(360)])
    narrow, wide = alone["macro_f1"].interval, by_image["macro_f1"].interval
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_few_groups_tell_nothing() -> None:
    found = estimates(flags(0, 5), flags(1, 5), list("abcde"))
    assert found["macro_f1"].interval == (0, 1)
    with pytest.raises(ValueError, match="cannot be scored"):
        f1_scores(flags(0, 0), flags(0, 0))


def test_a_sample_without_an_error_is_not_certain() -> None:
    """As Wilson's interval of 20 right answers of 20 says, and that of 100 is narrower."""
    for count, low in ((20, 0.839), (100, 0.963)):
        truth = flags(2, count)
        for found in estimates(truth, truth, [str(i) for i in range(count)]).values():
            assert found.value == found.interval.high == 1
            assert found.interval.low == pytest.approx(low, abs=0.001)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_no_answer_that_looks_at_no_image_is_better_than_the_trivial_one(
    seed: int, count: int
) -> None:
    truth = flags(seed, count)
    for score in f1_scores(truth, truth):
        constant = [
            next(s.value for s in f1_scores(truth, same) if s.name == score.name)
            for subset in np.ndindex(2, 2, 2)
            for same in [np.tile(np.array(subset, np.bool_), (count, 1))]
            if same.any() and not (same & ~truth.any(axis=0)).any()
        ]
        if constant:
            assert score.trivial == pytest.approx(max(constant))


def test_two_models_are_compared_on_the_same_groups() -> None:
    truth, groups = flags(0, 200), [str(i // 2) for i in range(200)]
    better, worse = (np.where(flags(1, 200, share), ~truth, truth) for share in (0.05, 0.3))
    for a, b in zip(f1_scores(truth, better), f1_scores(truth, worse), strict=True):
        found = a.minus(b, groups)
        assert found.value == pytest.approx(a.value - b.value)
        assert 0 < found.interval.low < found.value < found.interval.high
        assert a.minus(a, groups).interval == (0, 0)
        assert a.minus(b, ["one"] * 200).interval == (-1, 1)


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
