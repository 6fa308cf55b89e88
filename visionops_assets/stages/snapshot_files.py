"""Writes the files of a dataset snapshot, once, and reads them for several stages."""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.columns import TEXT, columns, names

TRAIN = "train"
HOLDOUT = "holdout"
MEMBERS = columns(
    ("frame_id", TEXT, "Id of the frame."),
    ("media_id", TEXT, "File it was decoded from."),
    ("group_id", TEXT, "Group that stays on one side: one video, one clip, near duplicates."),
    ("label", TEXT, "Class of the frame."),
    ("label_index", "int64", "Place of the class among all classes in alphabetical order."),
    ("split", TEXT, "`train` or `holdout`."),
)
MEMBER_COLUMNS = names(MEMBERS)


@dataclass(frozen=True)
class SnapshotFiles:
    """Pixels and members of a snapshot.

    `images` is uint8 of shape (N, S, S, 3) in RGB; row i of `members` (see `MEMBER_COLUMNS`) says
    what image i is.
    """

    images: np.ndarray
    members: pd.DataFrame

    def side(self, split: str) -> "SnapshotFiles":
        """Return the frames of one side only."""
        return self.where((self.members["split"] == split).to_numpy())

    def where(self, mask: np.ndarray) -> "SnapshotFiles":
        """Return the frames that the boolean mask (N) selects."""
        return SnapshotFiles(self.images[mask], self.members[mask].reset_index(drop=True))


def snapshot_prefix(snapshot_id: str) -> str:
    """Return the folder of a snapshot in the object store."""
    return f"snapshots/{snapshot_id}"


def write_snapshot(object_store: ObjectStore, snapshot_id: str, files: SnapshotFiles) -> None:
    """Store a snapshot. The members are written last, and make it whole and final."""
    prefix = snapshot_prefix(snapshot_id)
    if object_store.exists(f"{prefix}/members.parquet"):
        return
    # Through the disk: the pixels may fill most of the memory.
    with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
        path = Path(folder) / "images.npy"
        np.save(path, files.images, allow_pickle=False)
        object_store.upload(f"{prefix}/images.npy", path)
    object_store.put(f"{prefix}/members.parquet", files.members.to_parquet(index=False))


def read_members(object_store: ObjectStore, snapshot_id: str) -> pd.DataFrame:
    """Load the members of a snapshot without its pixels.

    Raises:
        NotFoundError: there is no snapshot of this id.
    """
    data = object_store.get(f"{snapshot_prefix(snapshot_id)}/members.parquet")
    return pd.read_parquet(io.BytesIO(data))


def read_snapshot(object_store: ObjectStore, snapshot_id: str) -> SnapshotFiles:
    """Load a snapshot whole.

    Raises:
        NotFoundError: there is no snapshot of this id.
    """
    members = read_members(object_store, snapshot_id)
    data = object_store.get(f"{snapshot_prefix(snapshot_id)}/images.npy")
    images = _array_in(data)
    return SnapshotFiles(images, members)


def _array_in(data: bytes) -> np.ndarray:
    """Return the array that a `.npy` file of version 1 holds, read-only, without copying it."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)
