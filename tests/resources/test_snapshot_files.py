"""A manifest comes back as it was written or not at all, and its pixels from their shards."""

import io
import tracemalloc
from contextlib import suppress
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.earlier_snapshots import EARLIER_COLUMNS, write_with_images
from tests.resources.memory_store import MemoryStore
from tests.resources.whereabouts import Shelf, members_of
from visionops_assets.errors import DamagedArtifactError, NotFoundError, SnapshotError
from visionops_assets.resources.frame_reading import DamagedFramesError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import drop_copies, read_members, write_snapshot
from visionops_assets.resources.snapshot_reading import (
    READINGS,
    SnapshotFiles,
    of_side,
    on_whole_frames,
    read_snapshot,
)

SIDE_PX = 4
IDS = ["a", "b", "c", "d", "e", "f"]
IMAGES = np.random.default_rng(1).integers(0, 255, (6, SIDE_PX, SIDE_PX, 3), np.uint8)


def shelf_with_a_snapshot() -> Shelf:
    """A manifest of six frames in two shards."""
    shelf = Shelf(MemoryStore())
    shelf.put(IMAGES[:4], IDS[:4], "one")
    shelf.put(IMAGES[4:], IDS[4:], "two")
    members = members_of(IDS, SIDE_PX)
    members["split"] = ["train", "train", "holdout", "train", "holdout", "holdout"]
    write_snapshot(shelf.objects, "ds-1", members)
    return shelf


def test_a_snapshot_has_no_pixels_of_its_own() -> None:
    shelf = shelf_with_a_snapshot()
    written = {key for key in shelf.store if key.startswith("snapshots/")}
    assert written == {"snapshots/ds-1/members.parquet", "snapshots/ds-1/SHA256SUMS"}
    files = read_snapshot(shelf.objects, "ds-1", shelf)
    assert files.missing == 0
    np.testing.assert_array_equal(files.images[:], IMAGES)
    assert files.members["frame_id"].tolist() == IDS
    holdout = files.side("holdout")
    np.testing.assert_array_equal(holdout.images[:], IMAGES[[2, 4, 5]])
    assert holdout.members["frame_id"].tolist() == ["c", "e", "f"]


def test_only_what_is_chosen_is_asked_for() -> None:
    shelf = shelf_with_a_snapshot()
    files = read_snapshot(shelf.objects, "ds-1", shelf, of_side("holdout"))
    assert files.members["frame_id"].tolist() == ["c", "e", "f"]
    np.testing.assert_array_equal(files.images[:], IMAGES[[2, 4, 5]])
    assert shelf.asked == 3


def test_members_that_are_not_to_be_had_are_missing() -> None:
    shelf = shelf_with_a_snapshot()
    del shelf.rows["b"], shelf.rows["e"]
    files = read_snapshot(shelf.objects, "ds-1", shelf)
    assert (files.missing, files.members["frame_id"].tolist()) == (2, ["a", "c", "d", "f"])
    np.testing.assert_array_equal(files.images[:], IMAGES[[0, 2, 3, 5]])
    shelf.rows.clear()
    with pytest.raises(SnapshotError, match="No frame of snapshot ds-1 is to be had"):
        read_snapshot(shelf.objects, "ds-1", shelf)


def test_work_on_damaged_frames_is_done_anew_without_them() -> None:
    shelf, told = shelf_with_a_snapshot(), list[str]()
    key = shelf.rows["a"][0]
    shelf.store.put(key, bytes(len(shelf.store[key])))

    def work(files: SnapshotFiles) -> list[str]:
        np.testing.assert_array_equal(files.images[:], IMAGES[[IDS.index(i) for i in ids(files)]])
        return ids(files)

    def ids(files: SnapshotFiles) -> list[str]:
        return [str(each) for each in files.members["frame_id"]]

    assert on_whole_frames(shelf.objects, "ds-1", shelf, work, told.append) == ["e", "f"]
    assert shelf.made_again == [key]
    assert "4 media files are announced again" in told[0]
    assert "4 members of ds-1 are left out" in told[1]


def test_damage_without_end_is_told() -> None:
    shelf, done = shelf_with_a_snapshot(), list[int]()

    def work(files: SnapshotFiles) -> None:
        done.append(len(files.images))
        raise DamagedFramesError({f"shard-{len(done)}": "It is gone."})

    with pytest.raises(DamagedFramesError):
        on_whole_frames(shelf.objects, "ds-1", shelf, work, lambda _: None)
    assert len(done) == READINGS == len(shelf.made_again)


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_members_is_found(position: int, bit: int) -> None:
    shelf = shelf_with_a_snapshot()
    flipped = bytearray(shelf.store["snapshots/ds-1/members.parquet"])
    flipped[position % len(flipped)] ^= 1 << bit
    shelf.store.put("snapshots/ds-1/members.parquet", bytes(flipped))
    with pytest.raises(
        DamagedArtifactError, match=r"members\.parquet of snapshot ds-1 is not what"
    ):
        read_members(shelf.objects, "ds-1")


@pytest.mark.parametrize("name", ["members.parquet", "SHA256SUMS"])
@pytest.mark.parametrize("content", [b"", b"other bytes", b"PAR1", b"\xff\n", b"0  images.npy\n"])
def test_a_damaged_manifest_is_told_and_written_again_when_it_is_cut_again(
    name: str, content: bytes
) -> None:
    shelf = shelf_with_a_snapshot()
    before, members = dict(shelf.store), read_members(shelf.objects, "ds-1")
    shelf.store.put(f"snapshots/ds-1/{name}", content)
    with pytest.raises(DamagedArtifactError, match=f"{name} of snapshot ds-1 is not what"):
        read_snapshot(shelf.objects, "ds-1", shelf)
    write_snapshot(shelf.objects, "ds-1", members)
    assert dict(shelf.store) == before
    shelf.store.written.clear()
    write_snapshot(shelf.objects, "ds-1", members)
    assert shelf.store.written == []
    with pytest.raises(NotFoundError):
        read_members(shelf.objects, "ds-2")


def earlier_snapshot(images: np.ndarray = IMAGES) -> MemoryStore:
    """A snapshot as versions before wrote it, in a store of its own."""
    store = MemoryStore()
    ids = [str(number) for number in range(len(images))]
    write_with_images(
        cast("ObjectStore", store), "ds-1", images, members_of(ids, SIDE_PX)[EARLIER_COLUMNS]
    )
    return store


def read_earlier(store: MemoryStore) -> SnapshotFiles:
    """Read it with a catalog that knows nothing: its pixels are its own."""
    return read_snapshot(cast("ObjectStore", store), "ds-1", Shelf(MemoryStore()))


@pytest.mark.parametrize("has_sums", [True, False])
def test_a_snapshot_of_an_earlier_version_is_read_without_a_copy_in_memory(has_sums: bool) -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 64, 64, 3), np.uint8)
    store = earlier_snapshot(images)
    if not has_sums:
        del store["snapshots/ds-1/SHA256SUMS"]
    # Imports are not to be counted.
    pd.read_parquet(io.BytesIO(store["snapshots/ds-1/members.parquet"]))
    tracemalloc.start()
    files = read_earlier(store)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < images.nbytes / 20
    np.testing.assert_array_equal(files.images, images)
    store.written.clear()
    write_snapshot(cast("ObjectStore", store), "ds-1", members_of(["0"], SIDE_PX))
    assert store.written == []


@pytest.mark.parametrize("content", [None, b"", b"other bytes", b"\x93NUMPY\x01\x00"])
@pytest.mark.parametrize("has_sums", [True, False])
def test_damaged_copies_of_pixels_are_told(content: bytes | None, has_sums: bool) -> None:
    store = earlier_snapshot()
    if not has_sums:
        del store["snapshots/ds-1/SHA256SUMS"]
    del store["snapshots/ds-1/images.npy"]
    if content is not None:
        store.put("snapshots/ds-1/images.npy", content)
    with pytest.raises(DamagedArtifactError, match=r"images\.npy of snapshot ds-1 is"):
        read_earlier(store)


def test_a_snapshot_whose_copy_of_pixels_is_gone_becomes_a_manifest() -> None:
    store = earlier_snapshot()
    del store["snapshots/ds-1/images.npy"]
    shelf = Shelf(store)
    ids = [str(number) for number in range(6)]
    shelf.put(IMAGES, ids, "one")
    write_snapshot(shelf.objects, "ds-1", members_of(ids, SIDE_PX))
    np.testing.assert_array_equal(read_snapshot(shelf.objects, "ds-1", shelf).images[:], IMAGES)


@pytest.mark.parametrize("kills", range(4))
def test_copies_are_dropped_however_often_that_is_cut_off(kills: int) -> None:
    store = earlier_snapshot()
    left = [kills]

    class Dying(MemoryStore):
        def put(self, key: str, data: bytes) -> None:
            left[0] -= key.startswith("snapshots/")
            if left[0] == 0 and key.startswith("snapshots/"):
                raise ConnectionAbortedError
            super().put(key, data)

    dying = Dying(store)
    with suppress(ConnectionAbortedError):
        drop_copies(cast("ObjectStore", dying), "ds-1", SIDE_PX)
    read_earlier_or_manifest(dying)
    drop_copies(cast("ObjectStore", dying), "ds-1", SIDE_PX)
    del dying["snapshots/ds-1/images.npy"]
    read_earlier_or_manifest(dying)


def read_earlier_or_manifest(store: MemoryStore) -> None:
    """Read a snapshot whose frames lie in a shard, too: its pixels are the same either way."""
    shelf = Shelf(store)
    shelf.put(IMAGES, [str(number) for number in range(6)], "one")
    np.testing.assert_array_equal(read_snapshot(shelf.objects, "ds-1", shelf).images[:], IMAGES)
