"""Released versions in the object store, and what releases ask of those who lay them out.

    releases/<model>/<version>/   what a release made: signed, and never changed once it served
    triton/<model>/<version>      an empty object: the steps of this ensemble are about to be loaded

What a release loads is sent with the load request, as it was verified. What a Triton loads when it
starts lies beside it (`local.py`). Not here: talking to Triton.
"""

import hashlib
import re
from collections.abc import Collection

from visionops_assets.errors import UntrustedArtifactError
from visionops_assets.releasing.manifest import (
    MANIFEST_FILE,
    Files,
    read_folder,
    write_folder,
)
from visionops_assets.resources.object_store import ObjectStore

RELEASES_PREFIX = "releases"
ASKED_PREFIX = "triton"
_ASKED = re.compile(rf"{ASKED_PREFIX}/(?P<model>[^/]+)/(?P<version>[0-9]+)")


class ModelRepository:
    """The folders of one model."""

    def __init__(self, object_store: ObjectStore, model_name: str) -> None:
        self._object_store = object_store
        self._releases = f"{RELEASES_PREFIX}/{model_name}"
        self._model_name = model_name

    def version_prefix(self, model_version: int) -> str:
        """Key prefix of a version's folder, with its slash."""
        return f"{self._releases}/{model_version}/"

    def publish(self, model_version: int, files: Files) -> Files:
        """Write the folder of a version that never served; read it back and return it.

        The remains of a failed release are replaced.

        Raises:
            ReleaseError: it reads back differently.
        """
        write_folder(self._object_store, self.version_prefix(model_version), files)
        return self.read(model_version)

    def read(self, model_version: int) -> Files:
        """Read a version folder and check it against its signed manifest.

        Raises:
            ReleaseError: there is no such folder, or it is not whole.
            UntrustedArtifactError: it is not what we signed.
        """
        return read_folder(self._object_store, self.version_prefix(model_version))

    def read_released(self, model_version: int, manifest_sha256: str) -> Files:
        """Read a version folder that was released with this manifest.

        Raises:
            ReleaseError: there is no such folder, or it is not whole.
            UntrustedArtifactError: it is not what we signed, or not what was released.
        """
        files = self.read(model_version)
        if self.manifest_sha256(model_version) != manifest_sha256:
            raise UntrustedArtifactError(
                f"{self.version_prefix(model_version)} is not what was released: train a new "
                "version."
            )
        return files

    def manifest_sha256(self, model_version: int) -> str:
        """Return the SHA-256 of a version's manifest, in hex: it stands for all its files."""
        manifest = self._object_store.get(self.version_prefix(model_version) + MANIFEST_FILE)
        return hashlib.sha256(manifest).hexdigest()

    def ask_for_steps(self, version: int) -> None:
        """Let the keeper of every Triton lay the steps of an ensemble out beside its server.

        Triton wants them there whenever it loads the ensemble, even if they were sent to it.
        """
        self._object_store.put(f"{ASKED_PREFIX}/{self._model_name}/{version}", b"")

    def forget_asked(self, kept: Collection[int]) -> None:
        """Ask no longer for the steps of other versions than these."""
        for name, version in asked_versions(self._object_store):
            if name == self._model_name and version not in kept:
                self._object_store.delete(f"{ASKED_PREFIX}/{name}/{version}")


def asked_versions(object_store: ObjectStore) -> list[tuple[str, int]]:
    """Return the model and version of each ensemble whose steps a release asked for."""
    keys = object_store.list_keys(f"{ASKED_PREFIX}/")
    # An earlier version kept copies of models below the same prefix.
    found = filter(None, map(_ASKED.fullmatch, keys))
    return [(asked["model"], int(asked["version"])) for asked in found]
