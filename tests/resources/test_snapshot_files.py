"""A snapshot comes back as it was written or not at all, and its pixels stay on the disk."""

import io
import tracemalloc
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.memory_store import MemoryStore
from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import (
    MEMBER_COLUMNS,
    SnapshotFiles,
    read_members,
    read_snapshot,
    write_snapshot,
)


class Store(MemoryStore):
    def exists(self, key: str) -> bool:
        return key in self


def members_of(images: np.ndarray) -> pd.DataFrame:
    rows = [[f"f{i}", f"m{i}", f"g{i}", "a", 0, "train"] for i in range(len(images))]
    return pd.DataFrame(rows, columns=MEMBER_COLUMNS)


def written() -> tuple[Store, SnapshotFiles]:
    """A small snapshot, in a store of its own."""
    images = np.random.default_rng(1).integers(0, 255, (3, 4, 4, 3), np.uint8)
    store, files = Store(), SnapshotFiles(images, members_of(images))
    write_snapshot(cast("ObjectStore", store), "ds-1", files)
    return store, files


def test_a_snapshot_comes_back_without_a_copy_of_its_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 64, 64, 3), np.uint8)
    members = members_of(images)
    store = cast("ObjectStore", Store())
    # Imports are not to be counted.
    pd.read_parquet(io.BytesIO(members.to_parquet()))
    tracemalloc.start()
    write_snapshot(store, "ds-1", SnapshotFiles(images, members))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # What plays the store holds it once.
    assert peak_bytes < images.nbytes * 1.5
    tracemalloc.start()
    files = read_snapshot(store, "ds-1")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < images.nbytes / 20
    np.testing.assert_array_equal(files.images, images)
    pd.testing.assert_frame_equal(files.members, members, check_dtype=False)
    pd.testing.assert_frame_equal(read_members(store, "ds-1"), members, check_dtype=False)


@given(
    name=st.sampled_from(["images.npy", "members.parquet"]),
    position=st.integers(0, 10**6),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_is_found(name: str, position: int, bit: int) -> None:
    store, _ = written()
    flipped = bytearray(store[f"snapshots/ds-1/{name}"])
    flipped[position % len(flipped)] ^= 1 << bit
    store.put(f"snapshots/ds-1/{name}", bytes(flipped))
    with pytest.raises(DamagedArtifactError, match=f"{name} of snapshot ds-1 is not what was"):
        read_snapshot(cast("ObjectStore", store), "ds-1")


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_pixels_that_are_damaged_are_written_again_when_the_snapshot_is_cut_again(
    damage: str,
) -> None:
    store, files = written()
    before = dict(store)
    del store["snapshots/ds-1/images.npy"]
    if damage == "altered":
        store.put("snapshots/ds-1/images.npy", b"other bytes")
    with pytest.raises(DamagedArtifactError, match="Materialize dataset_snapshot"):
        read_snapshot(cast("ObjectStore", store), "ds-1")
    write_snapshot(cast("ObjectStore", store), "ds-1", files)
    assert dict(store) == before
    store.written.clear()
    write_snapshot(cast("ObjectStore", store), "ds-1", files)
    assert store.written == []


def test_a_snapshot_of_an_earlier_version_has_no_checksums_and_is_read() -> None:
    store, files = written()
    del store["snapshots/ds-1/SHA256SUMS"]
    read = read_snapshot(cast("ObjectStore", store), "ds-1")
    np.testing.assert_array_equal(read.images, files.images)
    store.written.clear()
    write_snapshot(cast("ObjectStore", store), "ds-1", files)
    assert store.written == []
    with pytest.raises(NotFoundError):
        read_members(cast("ObjectStore", store), "ds-2")


@pytest.mark.parametrize("name", ["images.npy", "members.parquet"])
@pytest.mark.parametrize("content", [b"", b"other bytes", b"PAR1", b"\x93NUMPY\x01\x00"])
def test_damage_is_told_without_checksums_too(name: str, content: bytes) -> None:
    store, files = written()
    before = dict(store)
    del store["snapshots/ds-1/SHA256SUMS"]
    store.put(f"snapshots/ds-1/{name}", content)
    with pytest.raises(DamagedArtifactError, match=f"{name} of snapshot ds-1 is not what was"):
        read_snapshot(cast("ObjectStore", store), "ds-1")
    if name == "images.npy":
        write_snapshot(cast("ObjectStore", store), "ds-1", files)
        assert dict(store) == before


@pytest.mark.parametrize("content", [b"", b"other bytes", b"\xff\n", b"0  images.npy\n"])
def test_damaged_checksums_are_not_taken_for_none(content: bytes) -> None:
    store, files = written()
    before = dict(store)
    store.put("snapshots/ds-1/SHA256SUMS", content)
    for read in (read_snapshot, read_members):
        with pytest.raises(DamagedArtifactError, match="SHA256SUMS of snapshot ds-1 is not"):
            read(cast("ObjectStore", store), "ds-1")
    write_snapshot(cast("ObjectStore", store), "ds-1", files)
    assert dict(store) == before
