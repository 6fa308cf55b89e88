"""Triton's model repository in the object store: version folders, the pinned configuration.

    triton/<model>/<version>/   model.onnx, model.json, config.pbtxt and the pipeline's code
    triton/<model>/<version>/manifest.json   SHA-256 of each file, written last
    triton/<model>/config.pbtxt   a copy of one version's configuration: what Triton serves

A version folder never changes once the version was released: its release row holds the
manifest's own SHA-256. Not here: talking to Triton.
"""

import hashlib
import json
from pathlib import Path

import jinja2
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from visionops_assets.contracts import ModelCard
from visionops_assets.errors import NotFoundError, ReleaseError
from visionops_assets.resources.object_store import ObjectStore

REPOSITORY_PREFIX = "triton"
CONFIG_FILE = "config.pbtxt"
MANIFEST_FILE = "manifest.json"

Files = dict[str, bytes]
"""Contents by file name."""


def sha256_by_file(files: Files) -> dict[str, str]:
    """Return the SHA-256 of each file, in hex, sorted by name."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def pipeline_files(
    template_dir: Path, model_name: str, model_version: int, card: ModelCard
) -> Files:
    """Return the served pipeline's code and its rendered configuration.

    Raises:
        ReleaseError: the configuration is not one that Triton understands.
    """
    # A configuration is no markup: quotes in class names are escaped as JSON by the template.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    config = environment.get_template(f"{CONFIG_FILE}.j2").render(
        model_name=model_name,
        model_version=model_version,
        classes=card.classes,
        embedding_size=card.embedding_size,
    )
    config_as_json(config.encode(), model_name)
    code = {path.name: path.read_bytes() for path in sorted(template_dir.glob("*.py"))}
    return code | {CONFIG_FILE: config.encode()}


def config_as_json(config: bytes, model_name: str, instances: int | None = None) -> str:
    """Turn a config.pbtxt into the JSON that Triton takes with a load request, for `model_name`.

    `instances` replaces the number of instances.

    Raises:
        ReleaseError: it does not parse.
    """
    try:
        parsed = text_format.Parse(config, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ReleaseError(f"The rendered {CONFIG_FILE} does not parse: {error}") from error
    parsed.name = model_name
    if instances is not None:
        parsed.instance_group[0].count = instances
    return str(json_format.MessageToJson(parsed, preserving_proto_field_name=True))


class ModelRepository:
    """The folders of one model."""

    def __init__(self, object_store: ObjectStore, model_name: str) -> None:
        self._object_store = object_store
        self._folder = f"{REPOSITORY_PREFIX}/{model_name}"

    def version_prefix(self, model_version: int) -> str:
        """Key prefix of a version's folder, with its slash."""
        return f"{self._folder}/{model_version}/"

    def publish(self, model_version: int, files: Files) -> Files:
        """Write the folder of a version that was never released, and return it as read back.

        What a failed release left there is replaced; the manifest goes first and comes last, so
        that a folder with one is whole.

        Raises:
            ReleaseError: it does not read back as it was written.
        """
        prefix = self.version_prefix(model_version)
        self._object_store.delete(prefix + MANIFEST_FILE)
        for name, data in files.items():
            self._object_store.put(prefix + name, data)
        manifest = json.dumps(sha256_by_file(files), indent=2)
        self._object_store.create(prefix + MANIFEST_FILE, manifest.encode())
        return self.read(model_version)

    def read(self, model_version: int) -> Files:
        """Read a version folder and check it against its manifest.

        Raises:
            ReleaseError: there is no such folder, or a file is not what the manifest says.
        """
        prefix = self.version_prefix(model_version)
        try:
            manifest: dict[str, str] = json.loads(self._object_store.get(prefix + MANIFEST_FILE))
            files = {name: self._object_store.get(prefix + name) for name in manifest}
        except NotFoundError as error:
            raise ReleaseError(f"{prefix} is not complete: {error}") from error
        found = sha256_by_file(files)
        wrong = [name for name, expected in manifest.items() if found[name] != expected]
        if wrong:
            raise ReleaseError(f"{prefix} is damaged: checksum of {', '.join(wrong)} differs.")
        return files

    def manifest_sha256(self, model_version: int) -> str:
        """SHA-256 of a version's manifest, in hex: it stands for all files of the version."""
        manifest = self._object_store.get(self.version_prefix(model_version) + MANIFEST_FILE)
        return hashlib.sha256(manifest).hexdigest()

    def pin(self, config: bytes) -> None:
        """Make a version's configuration the one that Triton reads."""
        self._object_store.put(f"{self._folder}/{CONFIG_FILE}", config)

    def unpin(self) -> None:
        """Leave Triton nothing to serve of this model."""
        self._object_store.delete(f"{self._folder}/{CONFIG_FILE}")
