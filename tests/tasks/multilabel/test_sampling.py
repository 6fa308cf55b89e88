"""Which frames with several labels validate, and how often each of the others is drawn."""

import numpy as np
import pytest

from visionops_assets.tasks.multilabel.sampling import LabelSampler, split_validation

RARE = 3


def shown(count: int) -> np.ndarray:
    """Classes 0 to 2 are common; class 3 is shown in two groups, together with class 0."""
    found = np.zeros((count, 4), bool)
    found[:, :3] = np.random.default_rng(5).random((count, 3)) < 0.4
    found[:2, RARE] = found[:2, 0] = True
    return found


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_every_class_validates_and_rare_ones_train(seed: int) -> None:
    frames, groups = np.repeat(shown(60), 2, axis=0), [str(i // 2) for i in range(120)]
    training, validation = split_validation(frames, groups, np.random.default_rng(seed))
    assert sorted([*training, *validation]) == list(range(120))
    assert not {groups[i] for i in training} & {groups[i] for i in validation}
    assert frames[validation][:, :RARE].any(axis=0).all()
    assert (~frames[validation].any(axis=1)).any(), "showing nothing is a kind, too"
    assert not frames[validation][:, RARE].any(), "two groups are too few to spare one"
    assert 0.1 < len(validation) / 120 < 0.35


def test_where_no_group_can_be_spared_nothing_is_split() -> None:
    with pytest.raises(ValueError, match="three groups"):
        split_validation(np.ones((2, 1), bool), ["a", "b"], np.random.default_rng(0))


def test_frames_with_a_rare_class_come_more_often() -> None:
    frames = np.zeros((1000, 2), bool)
    frames[:, 0] = True
    frames[:10, 1] = True
    sampler = LabelSampler(frames, np.random.default_rng(0))
    drawn = np.concatenate([sampler.batch(50) for _ in range(200)])
    share = float((drawn < 10).mean())
    assert share == pytest.approx(10 / (10 + 990 * 0.1), abs=0.01)
    assert set(drawn) <= set(range(1000))
