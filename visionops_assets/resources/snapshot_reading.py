"""Reads snapshots: their members, with pixels that are fetched as they are needed.

Of snapshots of earlier versions the copied pixels are read.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.errors import DamagedArtifactError, NotFoundError, SnapshotError
from visionops_assets.resources.frame_images import FrameImages
from visionops_assets.resources.frame_reading import DamagedFramesError, FrameReader
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.pixel_files import open_images, scratch_file
from visionops_assets.resources.snapshot_files import (
    IMAGES_FILE,
    has_copies,
    members_of,
    snapshot_prefix,
    sums_of,
)
from visionops_assets.vision.places import Whereabouts
from visionops_assets.vision.selection import Images, select

T = TypeVar("T")
Chosen = Callable[[pd.DataFrame], npt.NDArray[np.bool_]]
"""Says of members (N) which are read."""
READINGS = 5
"""Times that a snapshot is read anew because shards turned out to be damaged."""


@dataclass(frozen=True)
class SnapshotFiles:
    """Pixels and members of a snapshot, in the order in which frames are best read.

    `images` is uint8 of shape (N, S, S, 3) in RGB, read as they are needed; row i of `members` (see
    `MEMBER_COLUMNS`) says what image i is. `missing` members are not among them: their frames were
    forgotten, or are made anew.
    """

    images: Images
    members: pd.DataFrame
    missing: int = 0

    def side(self, split: str) -> "SnapshotFiles":
        """Return the frames of one side only."""
        return self.where((self.members["split"] == split).to_numpy())

    def where(self, mask: np.ndarray) -> "SnapshotFiles":
        """Return the frames that the boolean mask (N) selects; their pixels are not copied."""
        members = self.members[mask].reset_index(drop=True)
        return SnapshotFiles(select(self.images, mask), members, self.missing)


def read_snapshot(
    object_store: ObjectStore,
    snapshot_id: str,
    whereabouts: Whereabouts,
    chosen: Chosen | None = None,
) -> SnapshotFiles:
    """Load the members of a snapshot that are `chosen`, whose pixels are read as they are needed.

    Raises:
        NotFoundError: there is no snapshot of this id.
        DamagedArtifactError: its files are not what was written, or its pixels are gone.
        NoRoomError: the disk is too small for its pixels.
        SnapshotError: none of its frames is to be had.
    """
    sums = sums_of(object_store, snapshot_id)
    members = members_of(object_store, snapshot_id, sums)
    mask = np.ones(len(members), np.bool_) if chosen is None else chosen(members)
    if has_copies(sums):
        copied = _copied_images(object_store, snapshot_id, sums)
        return SnapshotFiles(copied, members).where(mask)
    return with_pixels(object_store, snapshot_id, members[mask], whereabouts)


def of_side(split: str) -> Chosen:
    """Choose the members of one side."""
    return lambda members: (members["split"] == split).to_numpy(np.bool_)


def with_pixels(
    object_store: ObjectStore, snapshot_id: str, members: pd.DataFrame, whereabouts: Whereabouts
) -> SnapshotFiles:
    """Give members (N) of a manifest the pixels of their frames, as far as those are to be had.

    Raises:
        NoRoomError: the disk is too small for them.
        SnapshotError: the catalog knows the place of no frame.
    """
    places = whereabouts.find(members["frame_id"].tolist())
    is_known = places.is_known
    if len(members) and not is_known.any():
        raise SnapshotError(
            f"No frame of snapshot {snapshot_id} is to be had now: they were forgotten, or are "
            "made anew. Cut a new snapshot (materialize dataset_snapshot) when that is done."
        )
    found = members[is_known].reset_index(drop=True)
    reader = FrameReader(
        object_store, whereabouts, found["frame_id"].tolist(), places[np.flatnonzero(is_known)]
    )
    images = FrameImages(reader.read, len(found), int(found["size_px"].max()) if len(found) else 1)
    return SnapshotFiles(images, found, len(members) - len(found))


def on_whole_frames(
    object_store: ObjectStore,
    snapshot_id: str,
    whereabouts: Whereabouts,
    work: Callable[[SnapshotFiles], T],
    tell: Callable[[str], None],
    chosen: Chosen | None = None,
) -> T:
    """Read a snapshot and do some work with it: anew, without their frames, if shards are damaged.

    Those are noted for the alarm and made again from their media.

    Raises:
        DamagedFramesError: more and more turned out to be damaged.
    """
    for reading in range(READINGS):
        files = read_snapshot(object_store, snapshot_id, whereabouts, chosen)
        if files.missing:
            tell(
                f"{files.missing:,} members of {snapshot_id} are left out: their frames were "
                "forgotten, or are made anew."
            )
        try:
            return work(files)
        except DamagedFramesError as error:
            media = whereabouts.have_made_again(error.damaged)
            tell(f"{error} {media:,} media files are announced again to make their frames anew.")
            if reading == READINGS - 1:
                raise
        # Its decoded frames have to leave the disk before the next ones come.
        del files
        gc.collect()
    raise AssertionError  # The last reading returned, or raised.


def _copied_images(
    object_store: ObjectStore, snapshot_id: str, sums: Mapping[str, str]
) -> np.ndarray:
    """Bring the pixels of a snapshot of an earlier version to the disk."""
    with scratch_file(IMAGES_FILE) as path:
        try:
            found = object_store.download(f"{snapshot_prefix(snapshot_id)}/{IMAGES_FILE}", path)
        except NotFoundError:
            raise _damaged_images(snapshot_id, "is gone") from None
        if sums.get(IMAGES_FILE) not in {None, found}:
            raise _damaged_images(snapshot_id, "is not what was written")
        try:
            return open_images(path)
        except ValueError as error:
            raise _damaged_images(snapshot_id, "is not what was written") from error


def _damaged_images(snapshot_id: str, problem: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{IMAGES_FILE} of snapshot {snapshot_id} {problem}. Delete the object if it is there, and "
        "materialize dataset_snapshot: the frames are then read from their shards."
    )
