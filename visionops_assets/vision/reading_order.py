"""The order in which a large set is read while it is learned: shuffled by blocks. Pure.

Single frames drawn from all of a set would need a request each until all of them have been read.
Frames that lie together come together here, and many such blocks are mixed.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.learning import Sampler, Targets

Rows = npt.NDArray[np.int64]
BLOCK = 128
"""Frames that lie together."""
WINDOW_BYTES = 1024**3
"""Pixels that are mixed at once: 7,000 frames of 224 px. A set that fits is drawn from as whole."""
FIRST_BLOCKS = 4
"""Blocks of the first window. Each is twice the one before until they are whole: training starts
when the first has been read."""


class BlockShuffled:
    """Draws batches from windows of blocks, each window for about one pass over its frames.

    Args:
        targets: of N frames, in the order in which they lie.
        size_px: their width and height.
        sampler: what draws within a window, by its targets.
        prefetch: is told the places (M) of the next window's frames.
        rng: fixes the order of the blocks.
    """

    def __init__(
        self,
        targets: Targets,
        size_px: int,
        sampler: Callable[[Targets], Sampler],
        prefetch: Callable[[Rows], None],
        rng: np.random.Generator,
    ) -> None:
        self._targets, self._sampler, self._prefetch = targets, sampler, prefetch
        self._rng = rng
        self._windows = self._all_windows(max(1, WINDOW_BYTES // (3 * size_px**2 * BLOCK)))
        self._next = next(self._windows)
        self._left = 0
        self._current = self._next

    def batch(self, size: int) -> Rows:
        """Return the places of the next frames to train on (size), in any order."""
        if self._left <= 0:
            self._current, self._next = self._next, next(self._windows)
            self._prefetch(self._next)
            self._drawing = self._sampler(self._targets[self._current])
            self._left = len(self._current)
        self._left -= size
        return self._current[self._drawing.batch(size)]

    def _all_windows(self, most: int) -> Iterator[Rows]:
        blocks = np.arange(0, len(self._targets), BLOCK)
        count, waiting = min(FIRST_BLOCKS, most), np.empty(0, np.int64)
        while True:
            while len(waiting) < count:
                waiting = np.concatenate([waiting, self._rng.permutation(blocks)])
            chosen, waiting = np.split(waiting, [count])
            count = min(2 * count, most)
            parts = [
                np.arange(start, min(start + BLOCK, len(self._targets)))
                for start in np.unique(chosen)
            ]
            yield np.concatenate(parts)


def is_large(count: int, size_px: int) -> bool:
    """Say whether frames are more than are mixed at once."""
    return count * 3 * size_px**2 > WINDOW_BYTES


def sample_of(count: int, frames: int) -> Rows:
    """Return the places of frames that stand for all, in blocks; of few, all."""
    if count <= 2 * frames:
        return np.arange(count)
    starts = np.linspace(0, count - BLOCK, frames // BLOCK).astype(np.int64)
    return (starts[:, None] + np.arange(BLOCK)).ravel()
