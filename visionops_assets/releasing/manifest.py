"""Folders of model files in the object store, refused unless whole, unchanged and ours.

`manifest.json` is written last: the SHA-256 of every file, signed together with the folder's own
name, so that no signed folder can stand in for another.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from visionops_assets.errors import NotFoundError, ReleaseError, UntrustedArtifactError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.signing import sign, verify

MANIFEST_FILE = "manifest.json"

Files = dict[str, bytes]
"""Contents by file name; a name may have folders in it."""


class Manifest(BaseModel):
    """The files of a folder, with checksums signed by us."""

    sha256_by_file: dict[str, str]
    signature: str


def sha256_by_file(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, in hex, sorted by name."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def write_folder(object_store: ObjectStore, prefix: str, files: Files) -> None:
    """Write files below `prefix`, which ends with a slash, and then their signed manifest.

    The remains of an attempt that died are replaced; its manifest goes first.
    """
    object_store.delete(prefix + MANIFEST_FILE)
    for name, data in files.items():
        object_store.put(prefix + name, data)
    hashes = sha256_by_file(files)
    manifest = Manifest(sha256_by_file=hashes, signature=sign(_signed_text(prefix, hashes)))
    object_store.put(prefix + MANIFEST_FILE, manifest.model_dump_json(indent=2).encode())


def read_manifest(object_store: ObjectStore, prefix: str) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, after verifying the signature.

    Raises:
        ReleaseError: there is no such folder, or it is not whole.
        UntrustedArtifactError: its manifest is not the one that we signed.
    """
    try:
        manifest = Manifest.model_validate_json(object_store.get(prefix + MANIFEST_FILE))
    except NotFoundError as error:
        raise ReleaseError(f"{prefix} is not complete: {error}") from error
    except ValidationError:
        raise UntrustedArtifactError(f"{prefix}{MANIFEST_FILE} is not a signed manifest.") from None
    try:
        verify(_signed_text(prefix, manifest.sha256_by_file), manifest.signature)
    except UntrustedArtifactError as error:
        raise UntrustedArtifactError(f"{prefix} cannot be trusted. {error}") from error
    return manifest.sha256_by_file


def read_folder(object_store: ObjectStore, prefix: str) -> Files:
    """Read a folder whole.

    Raises:
        ReleaseError: there is no such folder, or it is not whole.
        UntrustedArtifactError: it is not the one that we signed.
    """
    manifest = read_manifest(object_store, prefix)
    try:
        files = {name: object_store.get(prefix + name) for name in manifest}
    except NotFoundError as error:
        raise ReleaseError(f"{prefix} is not complete: {error}") from error
    found = sha256_by_file(files)
    wrong = [name for name, expected in manifest.items() if found[name] != expected]
    if wrong:
        raise UntrustedArtifactError(
            f"{prefix} is damaged: checksum of {', '.join(wrong)} differs."
        )
    return files


def _signed_text(prefix: str, hashes: Mapping[str, str]) -> bytes:
    return json.dumps({"prefix": prefix, "files": dict(sorted(hashes.items()))}).encode()
