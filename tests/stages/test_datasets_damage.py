"""Shards that are gone or altered: found by their names, left out, and no class lost for them."""

from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.errors import DamagedShardError, SnapshotError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import read_shard, shard_key
from visionops_assets.resources.snapshot_files import snapshot_prefix
from visionops_assets.stages.datasets.cutting import gone_shards, in_reading_order
from visionops_assets.stages.datasets.members import only_whole, sides_of
from visionops_assets.vision.shards import pack

SIDE_PX = 8
TASK = "classification"


def written(store: MemoryStore, batch: str, values: list[int]) -> pd.DataFrame:
    """Write a shard of plain frames, and return its rows of the labels."""
    frames = {str(UUID(int=value)): np.full((SIDE_PX, SIDE_PX, 3), value) for value in values}
    named = [(f"{name}.png", cv2.imencode(".png", f)[1].tobytes()) for name, f in frames.items()]
    data, _ = pack(named)
    key = shard_key("pp-1", batch, data)
    store.put(key, data)
    return pd.DataFrame({"frame_id": list(frames), "shard_key": key})


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(position: int, bit: int) -> None:
    store = MemoryStore()
    key = written(store, "media-0-0-2", [1, 2])["shard_key"][0]
    assert len(read_shard(cast("ObjectStore", store), key)) == 2
    flipped = bytearray(store[key])
    flipped[position % len(flipped)] ^= 1 << bit
    store.put(key, bytes(flipped))
    with pytest.raises(DamagedShardError, match="not those that were written"):
        read_shard(cast("ObjectStore", store), key)


def test_only_shards_that_the_store_lacks_are_gone() -> None:
    store = MemoryStore()
    shards = [written(store, f"media-0-{n}", [n, n + 10]) for n in (1, 2, 3)]
    labels, keys = pd.concat(shards), [rows["shard_key"][0] for rows in shards]
    elsewhere = "elsewhere/media-0-4/abc.tar"
    labels.iloc[0, 1] = elsewhere
    assert set(gone_shards(labels, store.list_keys)) == {elsewhere}
    store.put(elsewhere, b"")
    del store[keys[2]]
    gone = gone_shards(labels, store.list_keys)
    assert gone == {keys[2]: f"Shard {keys[2]} is gone from the store."}


def test_members_are_in_the_order_in_which_their_frames_lie() -> None:
    rows = [("c", "b/1", 0, "h"), ("a", "a/2", 512, "h"), ("b", "a/2", 0, "h")]
    labels = pd.DataFrame(rows, columns=["frame_id", "shard_key", "shard_offset", "content_hash"])
    ordered = in_reading_order(labels, 32)
    assert ordered["frame_id"].tolist() == ["b", "a", "c"]
    assert ordered["size_px"].tolist() == [32, 32, 32]
    # As a version before wrote it.
    earlier = in_reading_order(labels[["frame_id", "shard_key"]], 32)
    assert earlier["frame_id"].tolist() == ["a", "b", "c"]


def test_a_snapshot_loses_frames_but_no_class_of_the_one_before() -> None:
    labels = pd.DataFrame({"label": ["a", "a", "b", "new"]})
    whole = only_whole(labels, pd.Series([True, False, True, False]), known=["a", "b"], task=TASK)
    assert list(whole["label"]) == ["a", "b"]
    with pytest.raises(SnapshotError, match="of b lie in damaged"):
        only_whole(labels, pd.Series([True, True, False, True]), known=["a", "b"], task=TASK)
    with pytest.raises(SnapshotError, match="All frames lie"):
        only_whole(labels, pd.Series([False] * 4), known=[], task=TASK)


def test_files_made_again_keep_the_side_that_they_had_before_they_were_left_out() -> None:
    store = MemoryStore()
    snapshots: list[Snapshot] = []
    for number, sides in enumerate([{"a": "holdout", "b": "train"}, {"b": "train"}, {}]):
        members = pd.DataFrame({"media_id": list(sides), "split": list(sides.values())})
        store.put(f"{snapshot_prefix(str(number))}/members.parquet", members.to_parquet())
        snapshots.insert(0, Snapshot(snapshot_id=str(number), watermark=datetime.now(UTC)))
    objects = cast("ObjectStore", store)
    assert sides_of(snapshots, objects, set()) == {}
    assert sides_of(snapshots, objects, {"b"}) == {"b": "train"}
    assert sides_of(snapshots, objects, {"a", "c"}) == {"a": "holdout", "b": "train"}
    assert sides_of([], objects, {"a"}) == {}
    # What has every side that is asked for is the last one that is read.
    del store[f"{snapshot_prefix('0')}/members.parquet"]
    assert sides_of(snapshots, objects, {"b"}) == {"b": "train"}
