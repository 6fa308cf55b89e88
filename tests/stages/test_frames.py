"""What a montage shows, and where frames lie in shards."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.memory_store import MemoryStore
from tests.stages.sandboxes import OpenSandbox
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.frames import assets, decoding
from visionops_assets.stages.frames.assets import MONTAGE_FRAMES, montage_sample
from visionops_assets.stages.frames.fetching import Fetched, StoredFile, fetch_each
from visionops_assets.stages.frames.sharding import ShardWriter
from visionops_assets.vision.sandbox.decoder import DecodedFile, EncodedFrame

QUALITY = (0.5, 0.2, 2.0, 0.01, 6.0)


def frames(count: int) -> list[EncodedFrame]:
    return [EncodedFrame(i, i / 10, b"%d" % i * 5, f"{i:016x}", QUALITY, b"") for i in range(count)]


@given(counts=st.lists(st.integers(0, 80), min_size=1, max_size=200))
def test_a_montage_is_never_too_large_nor_empty_if_every_file_can_be_used(
    counts: list[int],
) -> None:
    shown = [
        encoded
        for position, count in enumerate(counts, start=1)
        for encoded in montage_sample(frames(count), position, len(counts))
    ]
    assert len(shown) <= MONTAGE_FRAMES
    assert shown or not all(counts)


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
    writer = ShardWriter(store, PreprocessingSpec(), "media-0-0-2", shard_max_bytes)
    media = {UUID(int=1): frames(5), UUID(int=2): frames(3)}
    for media_id, its_frames in media.items():
        writer.add(media_id, its_frames)
    records = writer.finish()
    assert [(r.media_id, r.frame_index) for r in records] == [
        (media_id, frame.index) for media_id, its_frames in media.items() for frame in its_frames
    ]
    for record in records:
        shard = store._objects[record.shard_key]
        expected = media[record.media_id][record.frame_index].encoded
        assert shard[record.shard_offset :][: record.frame_bytes] == expected
    assert len({record.frame_id for record in records}) == len(records)


class Sandbox(OpenSandbox):
    """Stands in for the decoder: a file is one frame, of its own bytes."""

    def decode_each(
        self, paths: Sequence[Path], _kind: MediaKind, _specs: Sequence[PreprocessingSpec]
    ) -> list[DecodedFile]:
        frames = [EncodedFrame(0, 0.0, path.read_bytes(), "0" * 16, QUALITY, b"") for path in paths]
        return [DecodedFile([frame], None, 1.5) for frame in frames]


def test_a_file_that_is_gone_or_altered_leaves_its_batch_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(decoding, "DecoderSandbox", Sandbox)
    files = {"good": b"1", "gone": b"2", "flipped": b"3", "cut": b"45", "empty": b"6", "last": b"7"}
    store = MemoryStore(files | {"flipped": b"2", "cut": b"4", "empty": b""})
    del store["gone"]
    media = pd.DataFrame(
        {
            "media_id": str(UUID(int=number)),
            "object_key": key,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "kind": "image",
            "source": "gate",
        }
        for number, (key, data) in enumerate(files.items())
    )
    came_to = {
        key: result.error.code if result.error else its_frames[0].encoded
        for key, (result, its_frames) in zip(
            files,
            assets._decode_all(media, cast("ObjectStore", store), [PreprocessingSpec()]),
            strict=True,
        )
    }
    assert not list(tmp_path.glob("*/*")), "what is decoded leaves the disk"
    altered = dict.fromkeys(("flipped", "cut", "empty"), "altered")
    assert came_to == {"good": b"1", "last": b"7", "gone": "missing"} | altered


def test_bytes_that_were_damaged_on_their_way_are_read_again(tmp_path: Path) -> None:
    class Noisy(MemoryStore):
        readings = 0

        def get(self, key: str) -> bytes:  # type: ignore[override]
            self.readings += 1
            return b"noise" if self.readings == 1 else super().get(key)

        def download(self, key: str, path: Path) -> str:
            path.write_bytes(self.get(key))
            return hashlib.sha256(path.read_bytes()).hexdigest()

    store = cast("ObjectStore", Noisy({"key": b"data"}))
    file = StoredFile("1", "key", hashlib.sha256(b"data").hexdigest(), 4, "image", "gate")
    assert list(fetch_each([file], store, tmp_path)) == [Fetched(file, tmp_path / "1", None)]
    assert (tmp_path / "1").read_bytes() == b"data"


class Failing(MemoryStore):
    """Fails on some keys, as a store whose disk has a bad sector."""

    failing: frozenset[str] = frozenset()

    def download(self, key: str, path: Path) -> str:
        if key in self.failing:
            raise ServerUnreachableError(f"The store failed on {key}.")
        return super().download(key, path)


@pytest.mark.parametrize(
    ("failing", "altered"), [("d", "d"), ("ad", "ad"), ("acd", "acd"), ("abcde", None)]
)
def test_a_file_that_the_store_fails_on_is_told_from_a_store_that_is_down(
    failing: str, altered: str | None, tmp_path: Path
) -> None:
    store = Failing({key: key.encode() for key in "abcde"})
    store.failing = frozenset(failing)
    hashes = {key: hashlib.sha256(key.encode()).hexdigest() for key in "abcde"}
    files = [StoredFile(key, key, sha256, 1, "image", "gate") for key, sha256 in hashes.items()]
    fetched = fetch_each(files, cast("ObjectStore", store), tmp_path)
    if altered is None:
        with pytest.raises(ServerUnreachableError):
            list(fetched)
        return
    came_to = {file.media_id: error and error.code for file, _, error in fetched}
    assert came_to == {key: "altered" if key in altered else None for key in "abcde"}


def test_a_batch_that_runs_again_writes_the_same_shards() -> None:
    def write() -> list[tuple[str, str]]:
        writer = ShardWriter(_Store(), PreprocessingSpec(), "media-0-0-2", 10**6)
        writer.add(UUID(int=1), frames(4))
        return [(r.shard_key, str(r.frame_id)) for r in writer.finish()]

    assert write() == write()
