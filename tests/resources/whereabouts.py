"""Frames in shards of a store in memory, and a catalog of them that is a dictionary."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from tests.resources.memory_store import MemoryStore
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import shard_key
from visionops_assets.resources.snapshot_files import MEMBER_COLUMNS
from visionops_assets.vision.places import Places
from visionops_assets.vision.preprocessing import encode_frame
from visionops_assets.vision.shards import digest_of, pack


class Shelf:
    """What the catalog says of frames; `asked` counts how often it is asked for one."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.rows: dict[str, tuple[str, int, int, str]] = {}
        self.made_again: list[str] = []
        self.asked = 0

    @property
    def objects(self) -> ObjectStore:
        """Return the store, as its readers take it."""
        return cast("ObjectStore", self.store)

    def put(
        self, images: np.ndarray, frame_ids: Sequence[str], batch: str, *, hashed: bool = True
    ) -> str:
        """Write images, uint8 (N, S, S, 3), as one shard; return its key."""
        encoded = [encode_frame(image) for image in images]
        named = [f"{each}.png" for each in frame_ids]
        data, entries = pack(zip(named, encoded, strict=True))
        key = shard_key("pp-1", batch, data)
        self.store.put(key, data)
        for frame_id, frame, entry in zip(frame_ids, encoded, entries, strict=True):
            content_hash = digest_of(frame) if hashed else ""
            self.rows[frame_id] = (key, entry.offset, entry.length, content_hash)
        return key

    def find(self, frame_ids: Sequence[str]) -> Places:
        self.asked += len(frame_ids)
        places = Places.nowhere(len(frame_ids))
        for row, frame_id in enumerate(frame_ids):
            if frame_id in self.rows:
                key, offset, length, content_hash = self.rows[frame_id]
                if key not in places.shards:
                    places.shards.append(key)
                places.shard[row] = places.shards.index(key)
                places.offset[row], places.length[row] = offset, length
                places.content_hash[row] = content_hash
        return places

    def have_made_again(self, damaged: Mapping[str, str]) -> int:
        self.made_again += damaged
        gone = [frame_id for frame_id, row in self.rows.items() if row[0] in damaged]
        for frame_id in gone:
            del self.rows[frame_id]
        return len(gone)


def members_of(frame_ids: Sequence[str], size_px: int, split: str = "train") -> pd.DataFrame:
    """Return the members of a manifest, each frame of a file and a group of its own."""
    rows = [[each, f"m-{each}", f"g-{each}", "a", 0, split, "", size_px] for each in frame_ids]
    return pd.DataFrame(rows, columns=MEMBER_COLUMNS)
