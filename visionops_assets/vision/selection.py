"""Many images, and some of them: an index copies what it names, and nothing else."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Images(Protocol):
    """Frames, uint8 (N, S, S, 3) in RGB: an array, in memory or mapped from a disk, or some of one.

    An integer gives one frame; a slice, or an array of integers (M), gives uint8 (M, S, S, 3).
    """

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, chosen: Any, /) -> Any:
        """Return the frames that are named."""


@dataclass(frozen=True)
class Selection:
    """The images of some rows, int64 (N,), in their order; their pixels stay where they are."""

    images: Images
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    def __getitem__(self, chosen: Any, /) -> Any:
        """Return the frames that are named, as a copy."""
        return self.images[self.rows[chosen]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Copy all of them."""
        return np.asarray(self[:], dtype)


def select(images: Images, mask: npt.NDArray[np.bool_]) -> Selection:
    """Return the images that a boolean mask (N) names."""
    rows = np.flatnonzero(mask)
    if isinstance(images, Selection):
        return Selection(images.images, images.rows[rows])
    return Selection(images, rows)
