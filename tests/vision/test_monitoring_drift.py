from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from visionops_assets.vision.monitoring.drift import (
    TestResult,
    class_share_test,
    distribution_test,
    holm,
    mmd_test,
)


def normal(
    count: int, shift: float = 0.0, seed: int = 0, dimensions: int = 8
) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, dimensions)) + shift


def test_mmd_is_that_of_its_definition() -> None:
    x, y = normal(7), normal(5, 1.0, seed=1)
    pooled = np.concatenate([x, y])
    squared = ((pooled[:, None] - pooled[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squared / (2 * np.median(squared[np.triu_indices(12, k=1)])))
    within_x = sum(kernel[i, j] for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(kernel[i, j] for i in range(7, 12) for j in range(7, 12) if i != j) / (5 * 4)
    expected = within_x + within_y - 2 * kernel[:7, 7:].mean()
    assert mmd_test(x, y, permutations=1).statistic == pytest.approx(expected)


def test_mmd_finds_a_shift_and_a_spread_and_passes_equals() -> None:
    reference = normal(150)
    assert mmd_test(reference, normal(150, 0.4, seed=1)).p_value == pytest.approx(1 / 201)
    assert mmd_test(reference, 1.6 * normal(150, seed=1)).p_value == pytest.approx(1 / 201)
    assert mmd_test(reference, normal(150, seed=1)).p_value > 0.05


def test_mmd_calls_equals_different_as_often_as_its_level() -> None:
    p_values = [
        mmd_test(
            normal(20, seed=2 * seed), normal(20, seed=2 * seed + 1), permutations=39, seed=seed
        ).p_value
        for seed in range(200)
    ]
    # The level of 10 % is exact: 20 of 200 are expected; above 35 the chance is 1 in 2,000.
    assert 6 <= sum(p_value <= 0.1 for p_value in p_values) <= 35


def test_mmd_depends_on_neither_place_nor_scale() -> None:
    x, y = normal(40), normal(40, 0.3, seed=1)
    here, there = mmd_test(x, y), mmd_test(1_000 * x + 1e6, 1_000 * y + 1e6)
    assert there.statistic == pytest.approx(here.statistic, rel=1e-6)
    assert there.p_value == here.p_value


def test_mmd_repeats_itself_by_its_seed_and_draws_from_many() -> None:
    x, y = normal(90), normal(60, 0.1, seed=1)
    assert mmd_test(x, y, seed=3, max_points=50) == mmd_test(x, y, seed=3, max_points=50)
    assert mmd_test(x, y, seed=3, max_points=50) != mmd_test(x, y, seed=4, max_points=50)


def test_points_that_are_all_equal_have_not_drifted() -> None:
    same = np.ones((10, 4), np.float32)
    result = mmd_test(same, same)
    assert result.statistic == pytest.approx(0, abs=1e-12)
    assert result.p_value == 1.0


def test_few_points_among_equal_ones_still_count() -> None:
    current = np.zeros((60, 2))
    current[:20] = 1.0
    assert mmd_test(np.zeros((60, 2)), current).p_value < 0.01


@pytest.mark.parametrize(
    ("reference", "current", "message"),
    [
        (normal(5), normal(5, dimensions=3), "one d"),
        (normal(5)[:, 0], normal(5)[:, 0], "one d"),
        (normal(1), normal(5), "a sample needs two"),
        (normal(5), normal(1), "5 and 1 points: a sample needs two"),
        (normal(5), normal(5)[:, 0], "one d"),
        (normal(5), np.full((5, 8), np.nan), "not finite"),
        (np.full((5, 8), np.inf), normal(5), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    reference: npt.NDArray[np.float64], current: npt.NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mmd_test(reference, current)


def test_shares_of_common_classes_are_tested_by_chi_squared() -> None:
    reference, current = np.array([100, 50, 50]), np.array([60, 60, 80])
    result = class_share_test(reference, current)
    assert result.statistic == pytest.approx(0.2)
    assert result.p_value == pytest.approx(stats.chi2_contingency([reference, current]).pvalue)
    assert class_share_test(reference, 3 * reference).p_value == pytest.approx(1.0)


def test_rare_classes_count_as_one() -> None:
    result = class_share_test(np.array([4, 90, 4, 0, 110]), np.array([2, 95, 2, 0, 100]))
    pooled = stats.chi2_contingency([[90, 110, 8], [95, 100, 4]], correction=False)
    assert result.p_value == pytest.approx(pooled.pvalue)
    still_rare = class_share_test(np.array([2, 90, 110]), np.array([1, 95, 100]))
    joined = stats.chi2_contingency([[110, 92], [100, 96]], correction=False)
    assert still_rare.p_value == pytest.approx(joined.pvalue)


def test_too_few_items_prove_nothing_but_keep_their_distance() -> None:
    result = class_share_test(np.array([2, 0]), np.array([0, 2]))
    assert (result.statistic, result.p_value) == (1.0, 1.0)


counts = st.lists(st.integers(0, 300), min_size=4, max_size=4).map(np.array)


@given(counts, counts)
def test_any_counts_give_a_distance_and_a_probability(
    reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]
) -> None:
    if not (reference.sum() and current.sum()):
        with pytest.raises(ValueError, match="item"):
            class_share_test(reference, current)
        return
    result = class_share_test(reference, current)
    assert 0 <= result.statistic <= 1
    assert 0 <= result.p_value <= 1
    assert class_share_test(current, reference).statistic == pytest.approx(result.statistic)


def test_counts_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="none negative"):
        class_share_test(np.array([5, -1]), np.array([5, 5]))
    with pytest.raises(ValueError, match=r"shape|vectors"):
        class_share_test(np.array([5, 1]), np.array([5, 5, 5]))


def test_distributions_are_compared_by_their_largest_distance() -> None:
    reference = np.linspace(0, 1, 200)
    assert distribution_test(reference, reference).p_value == pytest.approx(1.0)
    shifted = distribution_test(reference, reference + 0.5)
    assert shifted.statistic == pytest.approx(0.5, abs=0.01)
    assert shifted.p_value < 1e-6
    one_number = distribution_test(np.ones(50), np.ones(30))
    assert (one_number.statistic, one_number.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("odd", [np.zeros(0), np.array([1.0, np.nan])])
def test_numbers_that_are_none_are_refused(odd: npt.NDArray[np.float64]) -> None:
    for reference, current in ((np.ones(3), odd), (odd, np.ones(3))):
        with pytest.raises(ValueError, match=r"compared|finite"):
            distribution_test(reference, current)


def test_holm_gives_the_values_of_the_textbook() -> None:
    # R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    assert len(holm(np.zeros(0))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: npt.NDArray[np.float64]) -> None:
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(p_values * len(p_values), 1)).all()
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all()


@pytest.mark.parametrize("test", [mmd_test, distribution_test])
def test_a_result_is_symmetric(test: Callable[..., TestResult]) -> None:
    x, y = normal(30, dimensions=1), normal(30, 0.5, seed=1, dimensions=1)
    if test is distribution_test:
        x, y = x[:, 0], y[:, 0]
    forth, back = test(x, y), test(y, x)
    assert forth.statistic == pytest.approx(back.statistic)


def test_two_points_a_side_and_one_permutation_are_enough() -> None:
    assert mmd_test(normal(2), normal(2, seed=1), permutations=1).p_value in (0.5, 1.0)
    with pytest.raises(ValueError, match="needs permutations"):
        mmd_test(normal(2), normal(2), permutations=0)


def test_the_scale_does_not_matter_where_most_points_coincide() -> None:
    """Else a kernel that is too wide or too narrow would make all points alike."""
    statistics = []
    for size in (1e-3, 1.0, 1e3):
        current = np.zeros((60, 2))
        current[:20] = size
        statistics.append(mmd_test(np.zeros((60, 2)), current).statistic)
    assert statistics == pytest.approx([statistics[0]] * 3)


def test_a_class_that_nobody_has_changes_nothing() -> None:
    reference, current = np.array([0, 100, 50, 0]), np.array([0, 60, 80, 0])
    found = class_share_test(reference, current)
    assert found == class_share_test(reference[1:3], current[1:3])
