"""Which frames validate, and how often each of the others is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.conftest import Digits
from visionops_assets.tasks.classification.sampling import ClassSampler, split_validation
from visionops_assets.tasks.splitting import validation_groups


def test_validation_keeps_groups_whole_and_every_class_in_training(digits: Digits) -> None:
    training, validation = split_validation(digits.labels, digits.groups, np.random.default_rng(0))
    assert sorted([*training, *validation]) == list(range(len(digits.labels)))
    groups = np.array(digits.groups)
    assert not set(groups[training]) & set(groups[validation])
    assert 0.1 < len(validation) / len(groups) < 0.2
    assert set(digits.labels[training]) == set(digits.labels[validation]) == {0, 1, 2}


@given(groups=st.integers(0, 10_000))
def test_small_classes_give_more_of_themselves_and_none_gives_all(groups: int) -> None:
    held = validation_groups(groups)
    assert held <= validation_groups(groups + 1)
    if groups < 3:
        assert held == 0
    else:
        assert 1 <= held <= max(1, 0.2 * groups)
        assert held >= min(int(0.2 * groups), 15)
        assert held >= int(0.1 * groups)


def test_a_class_of_two_groups_keeps_both_to_train_on() -> None:
    groups = [f"a{i}" for i in range(20)] + ["rare-1", "rare-1", "rare-2"]
    labels = np.array([0] * 20 + [1] * 3)
    for seed in range(5):
        training, _ = split_validation(labels, groups, np.random.default_rng(seed))
        assert {20, 21, 22} <= set(training)
    assert [validation_groups(groups) for groups in (0, 1, 2, 3, 75, 150, 151, 160)] == [
        *(0, 0, 0, 1, 15, 15, 15, 16)
    ]


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=5), seed=st.integers(0, 1_000))
def test_every_frame_has_its_turn_before_one_comes_again(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    sampler = ClassSampler(labels, np.random.default_rng(seed))
    drawn = np.concatenate([sampler.batch(16) for _ in range(40)])
    times = np.bincount(drawn, minlength=len(labels))
    for label in range(len(counts)):
        of_class = times[labels == label]
        assert of_class.max() - of_class.min() <= 1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_rare_class_counts_for_more_than_its_share(seed: int) -> None:
    labels = np.repeat([0, 1], [900, 100])
    sampler = ClassSampler(labels, np.random.default_rng(seed))
    drawn = np.concatenate([sampler.batch(32) for _ in range(500)])
    assert labels[drawn].mean() == pytest.approx(0.25, abs=0.02)


def test_equal_seeds_draw_alike() -> None:
    labels = np.repeat([0, 1], [7, 3])
    one, other = (ClassSampler(labels, np.random.default_rng(4)) for _ in range(2))
    assert [one.batch(5).tolist() for _ in range(9)] == [other.batch(5).tolist() for _ in range(9)]


@pytest.mark.parametrize("labels", [[], [0], [0, 0, 1, 1]])
def test_where_no_class_can_spare_a_group_nothing_is_split(labels: list[int]) -> None:
    groups = [str(number) for number in range(len(labels))]
    with pytest.raises(ValueError, match="three groups"):
        split_validation(np.array(labels, np.int64), groups, np.random.default_rng(0))
