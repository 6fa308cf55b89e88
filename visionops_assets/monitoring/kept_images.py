"""Reads the images that predictions kept, and knows them by the hashes in their keys."""

import hashlib

from visionops_assets.errors import AlteredMediaError
from visionops_assets.resources.object_store import ObjectStore


def read_kept_image(object_store: ObjectStore, key: str) -> bytes:
    """Read a kept image. Keys of earlier versions have no hash, and are read as they are.

    Raises:
        NotFoundError: it is gone.
        AlteredMediaError: it is not the image that was kept.
        ServerUnreachableError: the object store does not answer.
    """
    image = object_store.get(key)
    _, _, sha256 = key.partition(".")
    if sha256 and hashlib.sha256(image).hexdigest() != sha256:
        raise AlteredMediaError(f"{key} is not the image that was kept: it was altered there.")
    return image
