"""Released versions in the object store, and Triton's model repository beside them.

    releases/<model>/<version>/   what a release made: signed, and never changed once it served
    triton/<model>/<version>/     copies of the version that serves and of the one before
    triton/<model>/config.pbtxt   a copy of its configuration: what a Triton that starts loads

Triton copies a model's folder whole, with every version in it, so that one is kept short. What a
release loads is not read from there: it is sent with the load request, as it was verified.
Not here: talking to Triton.
"""

import hashlib

from visionops_assets.errors import NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.serving.manifest import (
    MANIFEST_FILE,
    Files,
    read_folder,
    write_folder,
)
from visionops_assets.stages.serving.pipeline import (
    CONFIG_FILE,
    ModelLoad,
    model_loads,
    steps_of,
)

RELEASES_PREFIX = "releases"
REPOSITORY_PREFIX = "triton"


def config_file(loaded_as: str, model_name: str) -> str:
    """Name the configuration of a loaded model in its version's folder: its own, or a step's."""
    is_step = loaded_as != model_name
    return f"{loaded_as.rpartition('-')[2]}.pbtxt" if is_step else CONFIG_FILE


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
        """Write the folder of a version that never served, and return it as read back.

        What a failed release left there is replaced.

        Raises:
            ReleaseError: it does not read back as it was written.
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

    def manifest_sha256(self, model_version: int) -> str:
        """SHA-256 of a version's manifest, in hex: it stands for all files of the version."""
        manifest = self._object_store.get(self.version_prefix(model_version) + MANIFEST_FILE)
        return hashlib.sha256(manifest).hexdigest()

    def pin(self, version: int, previous_version: int | None, files: Files) -> None:
        """Make a version the one that a starting Triton loads.

        The previous one stays, for a Triton that is reading it now; all others go.
        """
        for load in model_loads(files, self._model_name, version):
            self._put(load, files)
        self._remove_all_but({str(version), str(previous_version)})

    def put_steps(self, version: int, files: Files) -> None:
        """Put the steps of an ensemble where Triton looks for them whenever it loads the ensemble.

        It does so even if they were sent to it.
        """
        for load in model_loads(files, self._model_name, version)[:-1]:
            self._put(load, files)

    def _put(self, load: ModelLoad, files: Files) -> None:
        folder = f"{REPOSITORY_PREFIX}/{load.name}"
        for path, data in load.files.items():
            self._object_store.put(f"{folder}/{path}", data)
        config = files[config_file(load.name, self._model_name)]
        self._object_store.put(f"{folder}/{CONFIG_FILE}", config)

    def _remove_all_but(self, kept: set[str]) -> None:
        """Remove the copies of other versions, and the steps of their ensembles."""
        paths = [key.split("/") for key in self._object_store.list_keys(f"{REPOSITORY_PREFIX}/")]
        steps = steps_of(self._model_name, sorted({path[1] for path in paths}))
        for path in paths:
            is_own = path[1] == self._model_name and path[2] != CONFIG_FILE
            version = path[2] if is_own else path[1].split("-")[-2] if path[1] in steps else None
            if version is not None and version not in kept:
                self._object_store.delete("/".join(path))

    def pins(self, version: int) -> bool:
        """Say whether a version is the pinned one; its number is in its configuration."""
        own_key = self.version_prefix(version) + CONFIG_FILE
        try:
            return self._object_store.get(self._pinned_key) == self._object_store.get(own_key)
        except NotFoundError:
            return False

    def unpin(self) -> None:
        """Leave a starting Triton nothing to serve of this model."""
        self._object_store.delete(self._pinned_key)

    @property
    def _pinned_key(self) -> str:
        return f"{REPOSITORY_PREFIX}/{self._model_name}/{CONFIG_FILE}"
