"""Shards: how many frames go into one, their names, and where each frame then lies."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID, uuid5

import pytest

from tests.resources.memory_store import MemoryStore
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.frames.sharding import ShardWriter
from visionops_assets.vision.sandbox.decoder import EncodedFrame

MEDIA = UUID(int=7)
SPEC = PreprocessingSpec(size_px=64)


def frames(sizes: Sequence[int]) -> list[EncodedFrame]:
    return [
        EncodedFrame(
            index=index,
            time_s=float(index),
            encoded=bytes([index]) * size,
            perceptual_hash=f"{index:016x}",
            quality=(0.1, 0.2, 0.3, 0.4),
            crop_hashes=b"",
        )
        for index, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "shards"),
    [
        ((40, 40), [2]),
        ((50, 50), [2]),  # full, and none is left over
        ((50, 51), [2]),
        ((50, 49, 1, 1), [3, 1]),
        ((300, 300), [1, 1]),  # one that is too large has a shard of its own
        ((), []),
    ],
)
def test_a_shard_is_written_as_soon_as_it_is_full(
    sizes: tuple[int, ...], shards: list[int]
) -> None:
    store = MemoryStore()
    writer = ShardWriter(cast("ObjectStore", store), SPEC, "media-0-0-2", 100)
    made = frames(sizes)
    for frame in made:
        writer.add(MEDIA, [frame])
    full = [count for count in shards if count]
    assert len(store.written) in {len(full), len(full) - 1}, "only the last one may wait"
    records = writer.finish()
    assert [[r.shard_key for r in records].count(key) for key in store.written] == shards
    for frame, record in zip(made, records, strict=True):
        shard = store[record.shard_key]
        assert shard[record.shard_offset :][: record.frame_bytes] == frame.encoded
        assert (record.media_id, record.frame_index) == (MEDIA, frame.index)
        assert (record.time_s, record.perceptual_hash) == (frame.time_s, frame.perceptual_hash)
        assert record.quality == [0.1, 0.2, 0.3, 0.4]


def test_nothing_is_held_back_once_a_shard_is_full() -> None:
    """A batch of thousands of files needs the memory of one shard."""
    store = MemoryStore()
    writer = ShardWriter(cast("ObjectStore", store), SPEC, "media-0-0-2", 100)
    for count in range(1, 4):
        writer.add(MEDIA, frames([60, 40]))
        assert len(set(store.written)) == 1
        assert len(store.written) == count


@pytest.mark.parametrize(("quality", "ending"), [(None, b".png"), (80, b".jpg")])
def test_a_frame_is_named_by_its_coding_and_its_spec(quality: int | None, ending: bytes) -> None:
    spec = PreprocessingSpec(size_px=64, jpeg_quality=quality)
    store = MemoryStore()
    writer = ShardWriter(cast("ObjectStore", store), spec, "media-0-0-2", 100)
    writer.add(MEDIA, frames([10]))
    (record,) = writer.finish()
    assert record.frame_id == uuid5(MEDIA, f"{spec.spec_id}/0")
    (shard,) = store.values()
    assert shard.startswith(str(record.frame_id).encode() + ending + b"\0")
