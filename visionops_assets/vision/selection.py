"""Many images, and some of them: an index copies what it names, and nothing else."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

READ_AHEAD = 2
"""Batches that are read while one is used."""
Rows = npt.NDArray[np.int64]


class Images(Protocol):
    """Frames, uint8 (N, S, S, 3) in RGB: an array, or what reads them as they are needed.

    An integer gives one frame; a slice, or an array of integers (M), gives uint8 (M, S, S, 3).
    """

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, chosen: Any, /) -> Any:
        """Return the frames that are named."""


@runtime_checkable
class Fetching(Protocol):
    """Images that can be told what is needed next."""

    def prefetch(self, rows: Rows) -> None:
        """Fetch frames (M) in the background."""


@dataclass(frozen=True)
class Selection:
    """The images of some rows, int64 (N,), in their order; their pixels stay where they are."""

    images: Images
    rows: Rows

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    def __getitem__(self, chosen: Any, /) -> Any:
        """Return the frames that are named, as a copy."""
        return self.images[self.rows[chosen]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Copy all of them."""
        return np.asarray(self[:], dtype)

    def prefetch(self, rows: Rows) -> None:
        """Fetch frames (M) in the background, if the images can."""
        prefetch(self.images, self.rows[rows])


def select(images: Images, mask: npt.NDArray[np.bool_]) -> Selection:
    """Return the images that a boolean mask (N) names."""
    rows = np.flatnonzero(mask)
    if isinstance(images, Selection):
        return Selection(images.images, images.rows[rows])
    return Selection(images, rows)


def prefetch(images: Images, rows: Rows) -> None:
    """Fetch frames (M) in the background, if the images can."""
    if isinstance(images, Fetching):
        images.prefetch(rows)


def batches_of(count: int, size: int) -> Iterator[Rows]:
    """Yield the places 0 to `count`, `size` at a time."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def read_ahead(
    images: Images, batches: Iterable[Rows]
) -> Generator[tuple[Rows, npt.NDArray[np.uint8]], None, None]:
    """Yield batches of rows (M) with their frames, uint8 (M, S, S, 3).

    The next ones are read meanwhile, so `batches` may be endless.
    """
    coming: deque[tuple[Rows, Future[Any]]] = deque()
    with ThreadPoolExecutor(READ_AHEAD, "read-ahead") as reader:
        for rows in batches:
            coming.append((rows, reader.submit(images.__getitem__, rows)))
            if len(coming) > READ_AHEAD:
                wanted, read = coming.popleft()
                yield wanted, read.result()
        for wanted, read in coming:
            yield wanted, read.result()
