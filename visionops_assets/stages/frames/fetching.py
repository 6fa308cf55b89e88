"""Fetches media files from the object store: as they were acknowledged, or not at all."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from visionops_assets.errors import (
    AlteredMediaError,
    MediaError,
    MissingMediaError,
    NotFoundError,
    ServerUnreachableError,
)
from visionops_assets.resources.object_store import ObjectStore

READINGS = 2
"""The first may have been damaged on its way."""
FAILURES_OF_A_STORE = 3
"""So many files in a row, and no other before, are no fault of theirs."""


class StoredFile(NamedTuple):
    """A media file as it was acknowledged; `sha256` in hexadecimal."""

    media_id: str
    object_key: str
    sha256: str
    bytes: int
    kind: str
    source: str


class Fetched(NamedTuple):
    """A media file on the disk, or why it cannot be used."""

    file: StoredFile
    path: Path
    error: MediaError | None


def fetch_each(
    files: Iterable[StoredFile], object_store: ObjectStore, folder: Path
) -> Iterator[Fetched]:
    """Write one file after the other into a folder, or say why one cannot be used.

    A file that the store fails on is tried once more after the others. If it fails again, though
    the store gave others, its bytes there are damaged.

    Raises:
        ServerUnreachableError: the store fails on all files.
    """
    given = 0
    aside: list[StoredFile] = []
    for file in files:
        path = folder / file.media_id
        try:
            error = _fetch(object_store, file, path)
        except ServerUnreachableError:
            aside.append(file)
            if not given and len(aside) == FAILURES_OF_A_STORE:
                raise
            continue
        given += error is None
        yield Fetched(file, path, error)
    for file in aside:
        path = folder / file.media_id
        try:
            yield Fetched(file, path, _fetch(object_store, file, path))
        except ServerUnreachableError as error:
            if not given:
                raise
            lost = AlteredMediaError(f"{error} It gives others. Restore this one, then retry.")
            yield Fetched(file, path, lost)


def _fetch(object_store: ObjectStore, file: StoredFile, path: Path) -> MediaError | None:
    found = ""
    for _ in range(READINGS):
        try:
            found = object_store.download(file.object_key, path)
        except NotFoundError:
            return MissingMediaError(
                f"The object {file.object_key!r} is gone from the store. Restore it there, then "
                "retry."
            )
        if found == file.sha256:
            return None
    return AlteredMediaError(
        f"The object {file.object_key!r} has the SHA-256 {found}, and had {file.sha256} when it "
        "was acknowledged. Restore it there, then retry."
    )
