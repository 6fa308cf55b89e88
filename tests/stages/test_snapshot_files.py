"""A snapshot comes back as it was written, and its pixels are in memory once."""

import io
import tracemalloc
from typing import cast

import numpy as np
import pandas as pd

from tests.stages.memory_store import MemoryStore
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.snapshot_files import (
    MEMBER_COLUMNS,
    SnapshotFiles,
    read_members,
    read_snapshot,
    write_snapshot,
)


class Store(MemoryStore):
    def exists(self, key: str) -> bool:
        return key in self


def test_a_snapshot_comes_back_without_a_copy_of_its_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 64, 64, 3), np.uint8)
    rows = [[f"f{i}", f"m{i}", f"g{i}", "a", 0, "train"] for i in range(len(images))]
    members = pd.DataFrame(rows, columns=MEMBER_COLUMNS)
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
    assert peak_bytes < images.nbytes / 4
    np.testing.assert_array_equal(files.images, images)
    pd.testing.assert_frame_equal(files.members, members, check_dtype=False)
    pd.testing.assert_frame_equal(read_members(store, "ds-1"), members, check_dtype=False)
