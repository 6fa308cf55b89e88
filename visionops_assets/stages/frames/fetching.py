"""Fetches media files from the object store: as they were acknowledged, or not at all."""

from pathlib import Path

from visionops_assets.errors import AlteredMediaError, MissingMediaError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore

READINGS = 2
"""The first may have been damaged on its way."""


def fetch(object_store: ObjectStore, object_key: str, sha256: str, path: Path) -> None:
    """Write a stored media file to `path`; `sha256` is that of the acknowledged bytes, in hex.

    Raises:
        MissingMediaError: the object is gone.
        AlteredMediaError: it has other bytes.
        ServerUnreachableError: the store does not answer.
    """
    found = ""
    for _ in range(READINGS):
        try:
            found = object_store.download(object_key, path)
        except NotFoundError:
            raise MissingMediaError(
                f"The object {object_key!r} is gone from the store. Restore it there, then retry."
            ) from None
        if found == sha256:
            return
    raise AlteredMediaError(
        f"The object {object_key!r} has the SHA-256 {found}, and had {sha256} when it was "
        "acknowledged. Restore it there, then retry."
    )
