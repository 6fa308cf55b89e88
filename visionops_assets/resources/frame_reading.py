"""Reads encoded frames from their shards, wherever those lie now, and only as they were written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visionops_assets.errors import DamagedShardError, NotFoundError, ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import read_whole, shard_altered, shard_gone
from visionops_assets.vision.places import Places, Whereabouts
from visionops_assets.vision.shards import digest_of

Rows = npt.NDArray[np.int64]


class DamagedFramesError(DamagedShardError):
    """Frames cannot be read: `damaged` says by key why their shards are not whole."""

    def __init__(self, damaged: Mapping[str, str]) -> None:
        super().__init__(" ".join(damaged[key] for key in sorted(damaged)))
        self.damaged = dict(damaged)


@dataclass
class FrameReader:
    """The encoded frames of N ids, by their rows.

    A frame with a content hash is read by a range of its shard; of others the shard is read whole.
    Where a frame is not where it was, the catalog is asked once more.
    """

    object_store: ObjectStore
    whereabouts: Whereabouts
    frame_ids: Sequence[str]
    places: Places
    _good: str | None = None
    """A shard that the store gave: whether it gives anything now is asked of it."""

    def read(self, rows: Rows) -> list[bytes]:
        """Return the frames of these rows, in their order.

        Raises:
            DamagedFramesError: shards are gone, or their bytes are not those that were written.
            ServerUnreachableError: the store gives nothing, or the catalog does not answer.
        """
        try:
            return self._read(rows, self.places[rows])
        except DamagedFramesError:
            now = self.whereabouts.find([self.frame_ids[row] for row in rows])
            if not now.is_known.all() or _keys(now) == _keys(self.places[rows]):
                raise
            return self._read(rows, now)

    def _read(self, rows: Rows, places: Places) -> list[bytes]:
        """Read shard by shard; one that the store fails on is tried once more after the others."""
        frames: list[bytes] = [b""] * len(rows)
        damaged: dict[str, str] = {}
        failures: dict[str, ServerUnreachableError] = {}
        of_shard = {int(each): np.flatnonzero(places.shard == each) for each in set(places.shard)}
        for shard in _once_more(of_shard, failures, places.shards):
            key, chosen = places.shards[shard], of_shard[shard]
            try:
                found = self._of_shard(key, places[chosen])
            except DamagedShardError as error:
                damaged[key] = str(error)
            except ServerUnreachableError as error:
                failures[key] = error
            else:
                self._good = key
                failures.pop(key, None)
                for at, frame in zip(chosen, found, strict=True):
                    frames[at] = frame
        if failures and not self._gives_others(failures):
            raise next(iter(failures.values()))
        damaged |= {key: f"{error} It gives others." for key, error in failures.items()}
        if damaged:
            raise DamagedFramesError(damaged)
        return frames

    def _gives_others(self, failures: Mapping[str, Exception]) -> bool:
        """Say whether the store gives a shard now, while it fails on others."""
        if self._good is None or self._good in failures:
            return False
        try:
            self.object_store.get_range(self._good, 0, 1)
        except NotFoundError:
            return True
        except ServerUnreachableError:
            return False
        return True

    def _of_shard(self, key: str, places: Places) -> list[bytes]:
        hashes = [each.decode() for each in places.content_hash.tolist()]
        if not all(hashes):
            whole = read_whole(self.object_store, key)
            spans = zip(places.offset.tolist(), places.length.tolist(), strict=True)
            return [whole[start : start + length] for start, length in spans]
        frames = self._ranges(key, places)
        if any(digest_of(frame) != known for frame, known in zip(frames, hashes, strict=True)):
            raise shard_altered(key)
        return frames

    def _ranges(self, key: str, places: Places) -> list[bytes]:
        """Read parts of a shard; one that ends before them is damaged, which no store says."""
        try:
            return self.object_store.get_ranges(key, places.offset.tolist(), places.length.tolist())
        except NotFoundError:
            raise shard_gone(key) from None
        except ServerUnreachableError:
            size = self.object_store.size_bytes(key)
            if size is not None and size < int((places.offset + places.length).max()):
                raise shard_altered(key) from None
            raise


def _keys(places: Places) -> list[str]:
    return [places.shards[shard] for shard in places.shard]


def _once_more(
    shards: Collection[int], failures: Mapping[str, Exception], keys: list[str]
) -> Iterator[int]:
    """Yield the shards, in order, and then those that failed."""
    yield from sorted(shards, key=lambda shard: keys[shard])
    yield from [shard for shard in shards if keys[shard] in failures]
