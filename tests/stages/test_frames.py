"""What a montage shows, and where frames lie in shards."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.frames.assets import MONTAGE_FRAMES, montage_sample
from visionops_assets.stages.frames.sharding import ShardWriter
from visionops_assets.vision.sandbox.decoder import EncodedFrame


def frames(count: int) -> list[EncodedFrame]:
    return [EncodedFrame(i, i / 10, b"%d" % i * 5, f"{i:016x}") for i in range(count)]


@given(counts=st.lists(st.integers(1, 80), min_size=1, max_size=200))
def test_a_montage_is_never_empty_nor_too_large(counts: list[int]) -> None:
    shown = [
        png
        for position, count in enumerate(counts, start=1)
        for png in montage_sample(frames(count), position, len(counts))
    ]
    assert 0 < len(shown) <= MONTAGE_FRAMES


class _Store(ObjectStore):
    """Keeps objects in memory."""

    _objects: dict[str, bytes] = {}  # noqa: RUF012

    def put(self, key: str, data: bytes) -> None:
        self._objects[key] = data


@pytest.mark.parametrize("shard_max_bytes", [1, 12, 10**6])
def test_every_frame_lies_where_its_record_says(
    shard_max_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _Store()
    writer = ShardWriter(store, "pp-1", "media-0-0-2", shard_max_bytes)
    media = {UUID(int=1): frames(5), UUID(int=2): frames(3)}
    for media_id, its_frames in media.items():
        writer.add(media_id, its_frames)
    records = writer.finish()
    assert [(r.media_id, r.frame_index) for r in records] == [
        (media_id, frame.index) for media_id, its_frames in media.items() for frame in its_frames
    ]
    for record in records:
        shard = store._objects[record.shard_key]
        expected = media[record.media_id][record.frame_index].png
        assert shard[record.shard_offset :][: record.frame_bytes] == expected
    assert len({record.frame_id for record in records}) == len(records)


def test_a_batch_that_runs_again_writes_the_same_shards() -> None:
    def write() -> list[tuple[str, str]]:
        writer = ShardWriter(_Store(), "pp-1", "media-0-0-2", 10**6)
        writer.add(UUID(int=1), frames(4))
        return [(r.shard_key, str(r.frame_id)) for r in writer.finish()]

    assert write() == write()
