import numpy as np
import pytest

from visionops_assets.vision.picking import cluster, pick, uncertainty

CENTRES = np.array([[0, 0], [20, 0], [0, 20]], np.float32)
SIZES = (60, 40, 20)


def heaps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return frames in three heaps of 60, 40 and 20, in a mixed order, and the heap of each."""
    rng = np.random.default_rng(seed)
    heap = rng.permutation(np.repeat(np.arange(3), SIZES))
    return (CENTRES[heap] + rng.normal(size=(120, 2))).astype(np.float32), heap


def test_the_most_central_frame_of_the_largest_cluster_comes_first() -> None:
    features, heap = heaps()
    found = cluster(features, 3, seed=1)
    assert heap[found.typical].tolist() == [0, 1, 2]
    for number, row in enumerate(found.typical):
        members = found.members(number)
        assert (heap[members] == number).all()
        assert len(members) == SIZES[number]
        middle = features[members].mean(axis=0)
        distances = np.linalg.norm(features[members] - middle, axis=1)
        assert np.linalg.norm(features[row] - middle) <= np.quantile(distances, 0.2)


def test_a_cluster_proposes_the_one_label_that_was_said_of_it() -> None:
    features, heap = heaps()
    found = cluster(features, 3, seed=1)
    first, second, third = found.typical
    other = next(row for row in found.members(1) if row != second)
    proposed = found.proposals({first: "cat", second: "dog", other: "cow"})
    assert set(proposed.values()) == {"cat"}
    assert set(proposed) == set(np.flatnonzero(heap == 0)) - {first}
    assert third not in proposed


def test_there_are_no_more_clusters_than_frames() -> None:
    found = cluster(np.eye(3, dtype=np.float32), 10, seed=0)
    assert sorted(found.typical) == [0, 1, 2]
    with pytest.raises(ValueError, match="at least one"):
        cluster(np.eye(3, dtype=np.float32), 0, seed=0)
    with pytest.raises(ValueError, match="need frames"):
        cluster(np.empty((0, 3), np.float32), 2, seed=0)


def test_unsure_frames_are_picked_from_all_heaps() -> None:
    """Of each heap half are unsure; of the second they are the unsurest, but they are alike."""
    features, heap = heaps()
    lead = np.where(np.arange(120) % 2, 0.9, np.where(heap == 1, 0.0, 0.1)).astype(np.float32)
    probabilities = np.stack([(1 + lead) / 2, (1 - lead) / 2], axis=1).astype(np.float32)
    rows = pick(features, probabilities, 6, seed=0)
    assert len(set(rows)) == 6
    assert (rows % 2 == 0).all()
    assert set(heap[rows]) == {0, 1, 2}
    assert (np.diff(lead[rows]) >= 0).all()


def test_few_frames_are_all_picked_the_unsurest_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]], np.float32)
    rows = pick(np.zeros((3, 2), np.float32), probabilities, 5, seed=0)
    assert rows.tolist() == [1, 2, 0]


def test_equal_frames_fill_the_places_that_clusters_leave() -> None:
    probabilities = np.full((50, 2), 0.5, np.float32)
    rows = pick(np.ones((50, 3), np.float32), probabilities, 4, seed=0)
    assert len(set(rows)) == 4


def test_how_unsure_is_by_the_two_likeliest_or_by_each_class_alone() -> None:
    one_of = np.array([[0.5, 0.4, 0.1], [1, 0, 0]], np.float32)
    assert uncertainty(one_of) == pytest.approx([0.9, 0])
    several = np.array([[0.9, 0.55, 0.1], [1, 1, 0]], np.float32)
    assert uncertainty(several) == pytest.approx([0.9, 0])
    assert uncertainty(np.array([[0.5], [0.0]], np.float32)) == pytest.approx([1, 0])
