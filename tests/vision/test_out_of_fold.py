import numpy as np
import pytest

from visionops_assets.vision.out_of_fold import (
    DIMENSIONS,
    FOLDS,
    judgeable,
    out_of_fold,
    reduced,
)


def test_frames_of_a_group_do_not_tell_each_others_label() -> None:
    """Frames of a group are copies, and labels are drawn: any knowledge would be of the copies."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(100, 90)), 5, axis=0).astype(np.float32)
    kinds = np.repeat(rng.integers(0, 2, 100), 5)
    groups = np.repeat(np.arange(100), 5).astype(np.str_)
    each_its_own = np.arange(500).astype(np.str_)
    right = {
        name: float((out_of_fold(features, kinds, of).argmax(axis=1) == kinds).mean())
        for name, of in {"kept": groups, "split": each_its_own}.items()
    }
    assert right["kept"] < 0.65
    assert right["split"] > 0.85


def test_probabilities_are_of_all_kinds() -> None:
    rng = np.random.default_rng(1)
    kinds = np.arange(300) % 3
    features = (rng.normal(size=(300, 4)) + 4 * kinds[:, None]).astype(np.float32)
    found = out_of_fold(features, kinds, np.arange(300).astype(np.str_))
    assert found.shape == (300, 3)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found.argmax(axis=1) == kinds).mean() > 0.9


def test_a_kind_needs_a_group_for_each_fold() -> None:
    kinds = np.array([0] * 10 + [1] * 10)
    groups = np.array([*map(str, range(10)), *"abcd", *"aaaaaa"])
    assert judgeable(kinds, groups).tolist() == [True] * 10 + [False] * 10
    with pytest.raises(ValueError, match=f"{FOLDS} groups of each"):
        out_of_fold(np.zeros((20, 2), np.float32), kinds, groups)
    with pytest.raises(ValueError, match="two kinds"):
        out_of_fold(np.zeros((10, 2), np.float32), kinds[:10], groups[:10])


@pytest.mark.parametrize(("shape", "kept"), [((300, 500), DIMENSIONS), ((9, 500), 9)])
def test_embeddings_are_reduced_to_what_varies(shape: tuple[int, int], kept: int) -> None:
    assert reduced(np.random.default_rng(2).random(shape, np.float32)).shape == (shape[0], kept)


def test_small_embeddings_stay() -> None:
    embeddings = np.random.default_rng(3).random((50, 4), np.float32)
    assert (reduced(embeddings) == embeddings).all()
