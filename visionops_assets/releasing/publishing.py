"""Makes the version folder of an export: files to serve, and golden images to test them with."""

from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from visionops_assets.catalog.releases import newest_release
from visionops_assets.catalog.rollouts import was_tried
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import ExportedModel, ModelCard
from visionops_assets.models import model_named
from visionops_assets.releasing.exports import read_export, serving_report
from visionops_assets.releasing.golden import golden_images, golden_set
from visionops_assets.releasing.loading import CARD_FILE, ONNX_FILE
from visionops_assets.releasing.manifest import Files
from visionops_assets.releasing.pipeline import (
    MAX_PREFERRED_BATCH,
    PipelineOptions,
    pipeline_files,
    preferred_batch_size,
)
from visionops_assets.releasing.replica import Version
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.releasing.smoke import GOLDEN_FILE, write_golden
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings


@dataclass(frozen=True)
class Network:
    """The ONNX file to serve, and the size of the batches that suit it."""

    onnx_model: bytes
    preferred_batch_size: int = MAX_PREFERRED_BATCH


class Publisher:
    """Makes and finds the version folders of one model. The caller holds its release lock."""

    def __init__(self, object_store: ObjectStore, template_dir: Path, model_name: str) -> None:
        self._object_store = object_store
        self._template_dir = template_dir
        self._model_name = model_name
        self.repository = ModelRepository(object_store, model_name)

    def publish(self, session: Session, version: int) -> Version:
        """Make the folder of a version, or take that of a version that served before as it is.

        Raises:
            ReleaseError: there is no usable export of the version, or its folder was changed.
        """
        earlier = newest_release(session, self._model_name, version)
        if earlier is not None:
            files = self._read(earlier)
        elif was_tried(session, self._model_name, version):
            files = self.repository.read(version)
        else:
            files = self.repository.publish(version, self._made(version))
        return Version(version, lambda: files)

    def released(self, release: Release) -> Version:
        """Return a released version; its folder is read when needed."""
        return Version(release.model_version, lambda: self._read(release))

    def _read(self, release: Release) -> Files:
        return self.repository.read_released(release.model_version, release.manifest_sha256)

    def _made(self, version: int) -> Files:
        exported, files = read_export(self._object_store, self._model_name, version)
        card = ModelCard.model_validate_json(files[CARD_FILE])
        options = PipelineOptions.of(load_settings())
        network = self._network(exported, files)
        options = replace(options, preferred_batch_size=network.preferred_batch_size)
        if options.backend == "tensorrt":
            options = replace(options, backend="onnxruntime")
        images = golden_images(self._object_store, exported.snapshot_id)
        golden = golden_set(images, network.onnx_model, card)
        return {
            ONNX_FILE: network.onnx_model,
            CARD_FILE: files[CARD_FILE],
            GOLDEN_FILE: write_golden(golden),
            **pipeline_files(self._template_dir, self._model_name, version, card, options),
        }

    def _network(self, exported: ExportedModel, files: Files) -> Network:
        settings = load_settings()
        if settings.serving_backend == "tensorrt":
            # INT8 ONNX is made for CPUs. An engine takes its place by `engine_following`.
            report = serving_report(exported, "fp32")
            return Network(files[report.file])
        report = serving_report(exported, model_named(self._model_name).serving.precision)
        return Network(files[report.file], preferred_batch_size(report.latency_ms))
