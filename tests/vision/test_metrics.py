import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from visionops_assets.tasks.classification.scores import confusion_matrix, per_class
from visionops_assets.vision.metrics import (
    MIN_GROUPS,
    Flags,
    grouped_difference,
    grouped_share,
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
    with pytest.raises(ValueError, match="not a proportion"):
        wilson_interval(successes, n)


SINGLE = np.arange(1000).astype(np.str_)


def wrong(count: int, total: int = 1000) -> Flags:
    return np.arange(total) >= count


def videos(count: int, frames: int = 25) -> npt.NDArray[np.str_]:
    return np.repeat(np.arange(count), frames).astype(np.str_)


@given(st.integers(1, 300), st.data())
def test_groups_of_one_item_have_wilsons_interval(n: int, data: st.DataObject) -> None:
    right = np.arange(n) < data.draw(st.integers(0, n))
    share = grouped_share(right, SINGLE[:n])
    assert share.effective_n == pytest.approx(n)
    assert share.interval == pytest.approx(wilson_interval(int(right.sum()), n))


def test_frames_of_one_video_count_as_one() -> None:
    """40 videos that are wholly right or wholly wrong tell about as much as 40 images."""
    right = np.repeat(np.arange(40) >= 4, 25)
    share = grouped_share(right, videos(40))
    assert (share.value, share.groups) == (0.9, 40)
    assert share.effective_n == pytest.approx(40, abs=2)
    assert share.interval == pytest.approx(wilson_interval(36, 40), abs=0.01)


def test_no_error_in_few_videos_is_no_certainty() -> None:
    """1,000 single right answers would reach from 0.996 on."""
    share = grouped_share(np.ones(1000, np.bool_), videos(40))
    assert share.interval.low == pytest.approx(wilson_interval(40, 40).low, abs=0.005)
    assert share.interval.high == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60))
def test_grouping_never_makes_surer(items: list[tuple[bool, int]]) -> None:
    right = np.array([one[0] for one in items])
    share = grouped_share(right, [str(one[1]) for one in items])
    single = wilson_interval(int(right.sum()), len(right))
    assert 0 <= share.interval.low <= single.low + 1e-9
    assert single.high - 1e-9 <= share.interval.high <= 1
    assert share.interval.low <= share.value <= share.interval.high


def draw_videos(
    rng: np.random.Generator, count: int, mean: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """Draw the accuracy of each frame, which those of a video share, and the videos."""
    sizes = rng.integers(5, 46, count)
    likeness = 0.5
    scale = 1 / likeness - 1
    accuracy = rng.beta(mean * scale, (1 - mean) * scale, count)
    return np.repeat(accuracy, sizes), np.repeat(np.arange(count), sizes).astype(np.str_)


@pytest.mark.parametrize("count", [12, 30, 100])
@pytest.mark.parametrize("accuracy", [0.7, 0.95])
def test_intervals_hold_the_truth_where_frames_share_videos(count: int, accuracy: float) -> None:
    """Those that count frames do so in half of the cases or less."""
    rng, by_groups, by_frames = np.random.default_rng(count), 0, 0
    for _ in range(300):
        of_frame, groups = draw_videos(rng, count, accuracy)
        right = rng.random(len(of_frame)) < of_frame
        low, high = grouped_share(right, groups).interval
        by_groups += low <= accuracy <= high
        low, high = wilson_interval(int(right.sum()), len(right))
        by_frames += low <= accuracy <= high
    assert by_groups >= 0.9 * 300
    assert by_frames <= 0.55 * 300


def test_intervals_of_differences_hold_the_truth() -> None:
    """Of a model that fails on 30 % of the frames of a fifth of the videos, as well as another."""
    count, rng, held = 40, np.random.default_rng(7), 0
    for _ in range(200):
        of_frame, groups = draw_videos(rng, count, 0.9)
        right = rng.random(len(of_frame)) < of_frame
        _, index = np.unique(groups, return_inverse=True)
        spoilt = (rng.random(count) < 0.2)[index] & (rng.random(len(of_frame)) < 0.3)
        low, high = grouped_difference(right & ~spoilt, right, groups).interval
        held += low <= -0.9 * 0.2 * 0.3 <= high
    assert held >= 0.9 * 200


def test_a_difference_has_the_width_of_its_pairs() -> None:
    """15 of 1,000 pairs differ: 0.015 and 1.96 deviations of sqrt(0.015 x 0.985 / 1000)."""
    difference = grouped_difference(wrong(25), wrong(10), SINGLE)
    assert difference.value == -0.015
    assert difference.interval == pytest.approx((-0.0225, -0.0075), abs=0.001)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 12)), min_size=1, max_size=60)
)
def test_differences_are_those_of_the_answers(items: list[tuple[bool, bool, int]]) -> None:
    a, b = (np.array([one[side] for one in items], np.bool_) for side in (0, 1))
    groups = [str(one[2]) for one in items]
    difference = grouped_difference(a, b, groups)
    low, high = difference.interval
    assert -1 <= low <= difference.value + 1e-9
    assert difference.value - 1e-9 <= high <= 1
    assert difference.value == pytest.approx(a.mean() - b.mean())
    assert grouped_difference(a, b, groups) == difference
    assert grouped_difference(a, a, groups).interval == (0, 0)
    if difference.groups >= MIN_GROUPS:
        assert grouped_difference(a | b, b, groups).interval.low >= 0


def test_few_groups_that_differ_tell_nothing() -> None:
    few, enough = videos(MIN_GROUPS - 1), videos(MIN_GROUPS)
    assert grouped_difference(few == "x", few != "x", few).interval == (-1, 1)
    assert grouped_difference(enough == "x", enough != "x", enough).interval == (-1, -1)


def test_what_cannot_be_paired_is_refused() -> None:
    one, two = np.array([True]), np.array([True, False])
    with pytest.raises(ValueError, match="paired"):
        grouped_difference(one, two, ["a"])
    with pytest.raises(ValueError, match="groups of 1"):
        grouped_difference(two, two, ["a"])
    with pytest.raises(ValueError, match="groups of 2"):
        grouped_share(one, ["a", "b"])
    with pytest.raises(ValueError, match="cannot be counted"):
        grouped_share(np.array([], np.bool_), [])


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


@pytest.mark.parametrize(("groups", "right", "low"), [(9, 5, 1), (9, 6, 2), (10, 6, 2), (12, 5, 1)])
def test_few_groups_are_less_sure_than_their_resamples(groups: int, right: int, low: int) -> None:
    """By Student's t with k - 1 degrees, and sqrt(k / (k - 1)): of 9 groups, 2.45 deviations."""
    names = videos(groups)
    found = grouped_difference(names.astype(int) < right, names == "none", names)
    expanded = np.sqrt(groups / (groups - 1)) * stats.t.ppf(0.975, groups - 1)
    share = stats.binom(groups, right / groups)
    assert share.ppf(stats.norm.cdf(-expanded)) == low
    assert found.interval.low == pytest.approx(low / groups)
    assert found.interval.high == pytest.approx(share.ppf(stats.norm.cdf(expanded)) / groups)
