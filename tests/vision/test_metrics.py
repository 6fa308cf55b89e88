import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from visionops_assets.vision.metrics import (
    Flags,
    confusion_matrix,
    paired_difference_interval,
    per_class,
    wilson_interval,
)


def test_wilson_gives_the_published_limits() -> None:
    # R. G. Newcombe, Statistics in Medicine 17:857-872, 1998, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 2_000), st.data())
def test_wilson_holds_the_share_and_widens_with_confidence(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n)
    wider_low, wider_high = wilson_interval(successes, n, confidence=0.99)
    assert 0 <= wider_low <= low <= successes / n <= high <= wider_high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(successes, n)


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[Flags, Flags]:
    counts = [both, only_a, only_b, neither]
    a, b = np.repeat([True, True, False, False], counts), np.repeat([True, False] * 2, counts)
    return a, b


def test_paired_difference_gives_the_published_limits() -> None:
    # M. W. Fagerland et al., Statistics in Medicine 33:2850-2875, 2014, table VI.
    interval = paired_difference_interval(*answers(1, 1, 7, 12))
    assert interval == pytest.approx((-0.507, -0.026), abs=5e-4)


@given(*[st.integers(0, 60)] * 4)
def test_paired_difference_is_antisymmetric(
    both: int, only_a: int, only_b: int, neither: int
) -> None:
    if not both + only_a + only_b + neither:
        return
    a, b = answers(both, only_a, only_b, neither)
    low, high = paired_difference_interval(a, b)
    other_low, other_high = paired_difference_interval(b, a)
    assert -1 - 1e-9 <= low <= a.mean() - b.mean() <= high <= 1 + 1e-9
    assert (low, high) == pytest.approx((-other_high, -other_low))


def test_pairing_narrows_the_interval() -> None:
    agreeing = paired_difference_interval(*answers(90, 3, 2, 5))
    opposed = paired_difference_interval(*answers(86, 7, 6, 1))
    assert agreeing.high - agreeing.low < opposed.high - opposed.low


def test_unpaired_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference_interval(np.array([True]), np.array([True, False]))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_counts_and_ratios_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, answered = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    expected = reference.confusion_matrix(truth, answered, labels=range(4))
    assert np.array_equal(confusion_matrix(truth, answered, 4), expected)
    table = per_class(truth, answered, ("a", "b", "c", "d"))
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, answered, labels=range(4), zero_division=np.nan
    )
    np.testing.assert_allclose(table["precision"], precision)
    np.testing.assert_allclose(table["recall"], recall)
    np.testing.assert_allclose(table["f1"], f1)
    assert table["support"].tolist() == support.tolist()
    assert table.index.tolist() == ["a", "b", "c", "d"]
