"""Writes the files of a dataset snapshot, once, and reads them for several stages.

`SHA256SUMS` beside them says what was written, in the form of `sha256sum --check`. Snapshots of
earlier versions have none, and are read as they are.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.checksums import sha256_of
from visionops_assets.resources.columns import TEXT, columns, names
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.pixel_files import open_images, save_images, scratch_file
from visionops_assets.tasks.registry import annotating
from visionops_assets.vision.selection import Images, select

TRAIN = "train"
HOLDOUT = "holdout"
MEMBERS = columns(
    ("frame_id", TEXT, "Id of the frame."),
    ("media_id", TEXT, "File it was decoded from."),
    ("group_id", TEXT, "Group that stays on one side: one video, one clip, near duplicates."),
    ("label", TEXT, "Class of the frame; of several, all in one text."),
    ("label_index", "int64", "Place of `label` among all of them in alphabetical order."),
    ("split", TEXT, "`train` or `holdout`."),
)
MEMBER_COLUMNS = names(MEMBERS)
IMAGES_FILE = "images.npy"
MEMBERS_FILE = "members.parquet"
SUMS_FILE = "SHA256SUMS"


@dataclass(frozen=True)
class SnapshotFiles:
    """Pixels and members of a snapshot.

    `images` is uint8 of shape (N, S, S, 3) in RGB, mapped from a disk; row i of `members` (see
    `MEMBER_COLUMNS`) says what image i is.
    """

    images: Images
    members: pd.DataFrame

    def side(self, split: str) -> "SnapshotFiles":
        """Return the frames of one side only."""
        return self.where((self.members["split"] == split).to_numpy())

    def where(self, mask: np.ndarray) -> "SnapshotFiles":
        """Return the frames that the boolean mask (N) selects; their pixels are not copied."""
        return SnapshotFiles(select(self.images, mask), self.members[mask].reset_index(drop=True))


def labels_of(members: pd.DataFrame, task: str) -> list[tuple[str, ...]]:
    """Return the labels of each member, as a task writes them into one text."""
    read = annotating(task).labels
    return [read(str(text)) for text in members["label"]]


def snapshot_prefix(snapshot_id: str) -> str:
    """Return the folder of a snapshot in the object store."""
    return f"snapshots/{snapshot_id}"


def write_snapshot(object_store: ObjectStore, snapshot_id: str, files: SnapshotFiles) -> None:
    """Store a snapshot. The members are written last, and make it whole and final.

    One that is there stays, unless its pixels are not what was written: then it is written anew.
    """
    prefix = snapshot_prefix(snapshot_id)
    with scratch_file(IMAGES_FILE) as path:
        if object_store.exists(f"{prefix}/{MEMBERS_FILE}") and _has_its_images(
            object_store, snapshot_id, path
        ):
            return
        save_images(path, files.images)
        of_images = sha256_of(path)
        object_store.upload(f"{prefix}/{IMAGES_FILE}", path)
    members = files.members.to_parquet(index=False)
    sums = f"{of_images}  {IMAGES_FILE}\n{_sha256(members)}  {MEMBERS_FILE}\n"
    object_store.put(f"{prefix}/{SUMS_FILE}", sums.encode())
    object_store.put(f"{prefix}/{MEMBERS_FILE}", members)


def read_members(object_store: ObjectStore, snapshot_id: str) -> pd.DataFrame:
    """Load the members of a snapshot without its pixels.

    Raises:
        NotFoundError: there is no snapshot of this id.
        DamagedArtifactError: they are not what was written.
    """
    return _members(object_store, snapshot_id, _sums(object_store, snapshot_id))


def read_snapshot(object_store: ObjectStore, snapshot_id: str) -> SnapshotFiles:
    """Load a snapshot: its pixels to the disk, from where they are read as they are needed.

    Raises:
        NotFoundError: there is no snapshot of this id.
        DamagedArtifactError: its files are not what was written, or its pixels are gone.
        NoRoomError: the disk is too small for its pixels.
    """
    sums = _sums(object_store, snapshot_id)
    members = _members(object_store, snapshot_id, sums)
    with scratch_file(IMAGES_FILE) as path:
        try:
            found = object_store.download(f"{snapshot_prefix(snapshot_id)}/{IMAGES_FILE}", path)
        except NotFoundError:
            raise _damaged_images(snapshot_id, "is gone") from None
        if sums.get(IMAGES_FILE) not in {None, found}:
            raise _damaged_images(snapshot_id, "is not what was written")
        try:
            return SnapshotFiles(open_images(path), members)
        except ValueError as error:
            raise _damaged_images(snapshot_id, "is not what was written") from error


def _members(object_store: ObjectStore, snapshot_id: str, sums: Mapping[str, str]) -> pd.DataFrame:
    data = object_store.get(f"{snapshot_prefix(snapshot_id)}/{MEMBERS_FILE}")
    try:
        if sums.get(MEMBERS_FILE) in {None, _sha256(data)}:
            return pd.read_parquet(io.BytesIO(data))
        cause = None
    except (ValueError, OSError) as error:  # Those of PyArrow are among them.
        cause = error
    raise DamagedArtifactError(
        f"{MEMBERS_FILE} of snapshot {snapshot_id} is not what was written. Restore the object "
        "from a copy or an earlier version: it alone says which frames are in the holdout."
    ) from cause


def _sums(object_store: ObjectStore, snapshot_id: str) -> dict[str, str]:
    """Return the SHA-256 of each file by name; nothing of a snapshot of an earlier version."""
    try:
        data = object_store.get(f"{snapshot_prefix(snapshot_id)}/{SUMS_FILE}")
    except NotFoundError:
        return {}
    lines = data.decode(errors="replace").split("\n")
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if not {IMAGES_FILE, MEMBERS_FILE} <= sums.keys():
        raise DamagedArtifactError(
            f"{SUMS_FILE} of snapshot {snapshot_id} is not what was written. Restore the object "
            "from a copy or an earlier version, or delete it: the files are then read unchecked."
        )
    return sums


def _has_its_images(object_store: ObjectStore, snapshot_id: str, path: Path) -> bool:
    """Say whether the pixels are what was written. They go to `path` to find out."""
    try:
        expected = _sums(object_store, snapshot_id).get(IMAGES_FILE)
        found = object_store.download(f"{snapshot_prefix(snapshot_id)}/{IMAGES_FILE}", path)
        open_images(path)
    except (NotFoundError, DamagedArtifactError, ValueError):
        return False
    return expected in {None, found}


def _damaged_images(snapshot_id: str, problem: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{IMAGES_FILE} of snapshot {snapshot_id} {problem}. Materialize dataset_snapshot: it is "
        "written again from its frames."
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
