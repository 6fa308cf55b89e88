"""A large set is read in windows of shuffled blocks; every frame has its turn."""

from collections import Counter

import numpy as np
import pytest

from visionops_assets.vision import reading_order
from visionops_assets.vision.reading_order import BLOCK, BlockShuffled, is_large, sample_of

SIZE_PX = 32
WINDOW_BLOCKS = 16


class InOrder:
    """A sampler that yields what it has, round and round."""

    def __init__(self, targets: np.ndarray) -> None:
        self._places = np.arange(len(targets))

    def batch(self, size: int) -> np.ndarray:
        taken = self._places[:size]
        self._places = np.roll(self._places, -size)
        return taken


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    window = WINDOW_BLOCKS * BLOCK * 3 * SIZE_PX**2
    monkeypatch.setattr(reading_order, "WINDOW_BYTES", window)


def drawn(count: int, batches: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the batches of 64 that are drawn, and what was fetched ahead."""
    fetched: list[np.ndarray] = []
    order = BlockShuffled(
        np.arange(count), SIZE_PX, InOrder, fetched.append, np.random.default_rng(seed)
    )
    return [order.batch(64) for _ in range(batches)], fetched


def test_in_one_pass_every_frame_is_drawn_about_once() -> None:
    count = 40 * BLOCK
    batches, _ = drawn(count, 3 * count // 64)
    times = Counter(np.concatenate(batches).tolist())
    assert set(times) == set(range(count))
    assert max(times.values()) <= 4


def test_the_first_batch_needs_few_blocks_and_later_ones_are_mixed_from_many() -> None:
    batches, fetched = drawn(200 * BLOCK, 200)
    blocks = [len(np.unique(batch // BLOCK)) for batch in batches]
    assert blocks[0] <= reading_order.FIRST_BLOCKS
    of_windows = [len(np.unique(window // BLOCK)) for window in fetched]
    assert of_windows[:3] == [8, 16, 16]


def test_what_is_drawn_was_fetched_ahead() -> None:
    batches, fetched = drawn(100 * BLOCK, 60)
    first = reading_order.FIRST_BLOCKS * BLOCK // 64
    known = set(np.concatenate(fetched).tolist())
    assert set(np.concatenate(batches[first:]).tolist()) <= known


def test_the_order_is_fixed_by_the_seed_alone() -> None:
    one, other, third = (drawn(100 * BLOCK, 50, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_a_set_is_large_if_it_is_more_than_is_mixed_at_once() -> None:
    fits = WINDOW_BLOCKS * BLOCK
    assert not is_large(fits, SIZE_PX)
    assert is_large(fits + 1, SIZE_PX)


def test_few_frames_are_measured_whole_and_of_many_a_part_of_all() -> None:
    np.testing.assert_array_equal(sample_of(8 * BLOCK, 4 * BLOCK), np.arange(8 * BLOCK))
    sample = sample_of(100 * BLOCK + 5, 4 * BLOCK)
    assert len(sample) == 4 * BLOCK
    assert (sample.min(), sample.max()) == (0, 100 * BLOCK + 4)
