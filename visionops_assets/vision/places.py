"""Places of frames in the object store, as arrays: a million of them take some 40 MB."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

NOWHERE = -1


@dataclass(frozen=True)
class Places:
    """Where N frames lie; row i says it of frame i.

    `shards` are the keys of tar files; `shard`, int64 (N,), is the place of a frame's one among
    them, or `NOWHERE` if the frame is not to be had. `offset` and `length`, int64 (N,), are bytes
    of the encoded frame within it. `content_hash`, bytes (N,), is `shards.digest_of` it; empty of
    frames of versions before.
    """

    shards: list[str]
    shard: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    content_hash: npt.NDArray[np.bytes_]

    @classmethod
    def nowhere(cls, count: int) -> "Places":
        """Make a table of frames whose places are not known."""
        return cls(
            shards=[],
            shard=np.full(count, NOWHERE, np.int64),
            offset=np.zeros(count, np.int64),
            length=np.zeros(count, np.int64),
            content_hash=np.zeros(count, "S16"),
        )

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Say which frames are to be had (N)."""
        return np.not_equal(self.shard, NOWHERE)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> "Places":
        """Return the places of some frames."""
        shard, offset, length = self.shard[rows], self.offset[rows], self.length[rows]
        return Places(self.shards, shard, offset, length, self.content_hash[rows])


class Whereabouts(Protocol):
    """The catalog, as those who read frames ask it."""

    def find(self, frame_ids: Sequence[str]) -> Places:
        """Return where frames (N) lie now; one that is forgotten or made anew lies nowhere.

        Raises:
            ServerUnreachableError: the catalog does not answer.
        """

    def have_made_again(self, damaged: Mapping[str, str]) -> int:
        """Have the frames of shards, each with its reason by key, made again from their media.

        Until that is done they lie nowhere. Returns how many media are processed anew.
        """
