"""TensorRT engines of a version, beside its folder, by the GPU and TensorRT they were built for.

    releases/<model>/<version>/engines/<key>/   model.plan, engine.json, and a signed manifest

A key is the name of a target and a precision: `nvidia-l4-sm89-trt11.4.0-fp16`. An engine takes the
place of a version's ONNX file on servers of its kind; the version stays as it was released.
"""

import hashlib
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from visionops_assets.contracts import ArtifactReport, ExportedModel, TolerantRecord
from visionops_assets.errors import ReleaseError, UntrustedArtifactError
from visionops_assets.releasing.loading import ENGINE_FILE
from visionops_assets.releasing.manifest import read_folder, write_folder
from visionops_assets.releasing.repository import RELEASES_PREFIX
from visionops_assets.resources.object_store import ObjectStore

PLAN_FILE = ENGINE_FILE
RECORD_FILE = "engine.json"


class EngineRecord(TolerantRecord):
    """The ONNX file that an engine was built from, and its comparison with PyTorch."""

    model_name: str
    model_version: int
    key: str
    source_sha256: str
    plan_sha256: str
    report: ArtifactReport


RECORDS = TypeAdapter(list[EngineRecord])
"""The form in which a builder says what it built."""


@dataclass(frozen=True)
class Engine:
    """An engine that servers of its kind may load. It is fetched and verified when needed."""

    object_store: ObjectStore = field(compare=False)
    model_name: str
    model_version: int
    key: str
    plan_sha256: str

    def step_of(self, infer_step: str) -> str:
        """Name the model that runs it in Triton: `classifier-3-engine_1a2b3c4d`.

        By its content, so that none is replaced while it answers.
        """
        return f"{infer_step.rpartition('-')[0]}-engine_{self.plan_sha256[:8]}"

    def plan_for(self, onnx_model: bytes) -> bytes:
        """Fetch the engine, to serve in place of an ONNX file.

        Raises:
            ReleaseError: it is not there, not whole, of other weights, or too far from PyTorch.
            UntrustedArtifactError: it is not the one that we signed and noted.
        """
        prefix = engine_prefix(self.model_name, self.model_version, self.key)
        files = read_folder(self.object_store, prefix)
        record, plan = EngineRecord.model_validate_json(files[RECORD_FILE]), files[PLAN_FILE]
        if not record.report.usable:
            shortfalls = "; ".join(record.report.shortfalls)
            raise ReleaseError(f"{prefix} is too far from PyTorch: {shortfalls}.")
        if record.source_sha256 != _sha256(onnx_model):
            raise ReleaseError(f"{prefix} was built from other weights: build it again.")
        if self.plan_sha256 != _sha256(plan):
            raise UntrustedArtifactError(f"{prefix} is not the engine that was noted.")
        return plan


def engine_prefix(model_name: str, version: int, key: str) -> str:
    """Key prefix of an engine's folder, with its slash."""
    return f"{RELEASES_PREFIX}/{model_name}/{version}/engines/{key}/"


def write_engine(object_store: ObjectStore, record: EngineRecord, plan: bytes) -> None:
    """Store an engine and its record, signed."""
    files = {PLAN_FILE: plan, RECORD_FILE: record.model_dump_json(indent=2).encode()}
    prefix = engine_prefix(record.model_name, record.model_version, record.key)
    write_folder(object_store, prefix, files)


def record_of(
    key: str, exported: ExportedModel, source_file: str, plan: bytes, report: ArtifactReport
) -> EngineRecord:
    """Describe an engine that was just built from a file of an export."""
    return EngineRecord(
        model_name=exported.model_name,
        model_version=exported.model_version,
        key=key,
        source_sha256=exported.sha256_by_file[source_file],
        plan_sha256=_sha256(plan),
        report=report,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
