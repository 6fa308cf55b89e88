"""Writes the manifest of a dataset snapshot, once, and reads it for several stages.

A manifest says which frames are members, and has no pixels: those stay in the shards. Snapshots of
earlier versions have a copy of all pixels beside it, `images.npy`. `SHA256SUMS` says what was
written, in the form of `sha256sum --check`.
"""

import hashlib
import io
from collections.abc import Mapping

import pandas as pd

from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.columns import TEXT, columns, names
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.tasks.registry import annotating

TRAIN = "train"
HOLDOUT = "holdout"
MEMBERS = columns(
    ("frame_id", TEXT, "Id of the frame."),
    ("media_id", TEXT, "File it was decoded from."),
    ("group_id", TEXT, "Group that stays on one side: one video, one clip, near duplicates."),
    ("label", TEXT, "Class of the frame; of several, all in one text."),
    ("label_index", "int64", "Place of `label` among all of them in alphabetical order."),
    ("split", TEXT, "`train` or `holdout`."),
    ("content_hash", TEXT, "Hash of the encoded frame, in hexadecimal; empty if unknown."),
    ("size_px", "int64", "Width and height of the frame in pixels."),
)
MEMBER_COLUMNS = names(MEMBERS)
MEMBERS_FILE = "members.parquet"
SUMS_FILE = "SHA256SUMS"
IMAGES_FILE = "images.npy"
"""Only of snapshots of earlier versions."""


def labels_of(members: pd.DataFrame, task: str) -> list[tuple[str, ...]]:
    """Return the labels of each member, as a task writes them into one text."""
    read = annotating(task).labels
    of_text = {text: read(str(text)) for text in members["label"].unique()}
    return [of_text[text] for text in members["label"]]


def snapshot_prefix(snapshot_id: str) -> str:
    """Return the folder of a snapshot in the object store."""
    return f"snapshots/{snapshot_id}"


def write_snapshot(object_store: ObjectStore, snapshot_id: str, members: pd.DataFrame) -> None:
    """Store the manifest of a snapshot. The members are written last, and make it whole and final.

    One that is there stays, unless its pixels of an earlier version are gone: then it is a manifest
    from now on.
    """
    prefix = snapshot_prefix(snapshot_id)
    if object_store.exists(f"{prefix}/{MEMBERS_FILE}") and _can_be_read(object_store, snapshot_id):
        return
    _write(object_store, snapshot_id, members)


def read_members(object_store: ObjectStore, snapshot_id: str) -> pd.DataFrame:
    """Load the members of a snapshot without its pixels.

    Raises:
        NotFoundError: there is no snapshot of this id.
        DamagedArtifactError: they are not what was written.
    """
    return members_of(object_store, snapshot_id, sums_of(object_store, snapshot_id))


def members_of(
    object_store: ObjectStore, snapshot_id: str, sums: Mapping[str, str]
) -> pd.DataFrame:
    """Load the members of a snapshot whose checksums are known.

    Raises:
        NotFoundError: the store has none.
        DamagedArtifactError: they are not what was written.
    """
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


def sums_of(object_store: ObjectStore, snapshot_id: str) -> dict[str, str]:
    """Return the SHA-256 of each file by name; nothing of a snapshot before there were any."""
    try:
        data = object_store.get(f"{snapshot_prefix(snapshot_id)}/{SUMS_FILE}")
    except NotFoundError:
        return {}
    lines = data.decode(errors="replace").split("\n")
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if MEMBERS_FILE not in sums:
        raise DamagedArtifactError(
            f"{SUMS_FILE} of snapshot {snapshot_id} is not what was written. Restore the object "
            "from a copy or an earlier version, or materialize dataset_snapshot."
        )
    return sums


def has_copies(sums: Mapping[str, str]) -> bool:
    """Say whether a snapshot has a copy of its pixels, as earlier versions wrote it."""
    return not sums or IMAGES_FILE in sums


def drop_copies(object_store: ObjectStore, snapshot_id: str, size_px: int) -> None:
    """Make a manifest of a snapshot of an earlier version: nobody reads its copied pixels then.

    Killed anywhere, it can be read as what it was, and be made a manifest again.

    Raises:
        NotFoundError: there is no snapshot of this id.
        DamagedArtifactError: its members are not what was written.
    """
    sums = sums_of(object_store, snapshot_id)
    if has_copies(sums):
        members = members_of(object_store, snapshot_id, sums)
        object_store.delete(f"{snapshot_prefix(snapshot_id)}/{SUMS_FILE}")
        _write(
            object_store,
            snapshot_id,
            members.assign(content_hash="", size_px=size_px),
            (MEMBERS_FILE, SUMS_FILE),
        )


def _write(
    object_store: ObjectStore,
    snapshot_id: str,
    members: pd.DataFrame,
    order: tuple[str, str] = (SUMS_FILE, MEMBERS_FILE),
) -> None:
    """Write the members and their checksum in an order."""
    data = members.to_parquet(index=False)
    files = {MEMBERS_FILE: data, SUMS_FILE: f"{_sha256(data)}  {MEMBERS_FILE}\n".encode()}
    for name in order:
        object_store.put(f"{snapshot_prefix(snapshot_id)}/{name}", files[name])


def _can_be_read(object_store: ObjectStore, snapshot_id: str) -> bool:
    """Say whether all files of a snapshot are there. What is in a copy of pixels, none looks at."""
    try:
        sums = sums_of(object_store, snapshot_id)
        members_of(object_store, snapshot_id, sums)
    except DamagedArtifactError:
        return False
    return not has_copies(sums) or object_store.exists(
        f"{snapshot_prefix(snapshot_id)}/{IMAGES_FILE}"
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
