"""Engines of an export, by the GPU and TensorRT they were built for; ONNX where none matches.

    exports/<model>/<version>/engines/<key>/   model.plan, engine.json, and a signed manifest
    engine-timings/<target>/                   kernel timings of earlier builds, signed alike

A key is the name of a target and a precision: `nvidia-l4-sm89-trt11.4.0-fp16`.
"""

from visionops_assets.contracts import Artifact, ArtifactReport, ExportedModel, TolerantRecord
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.manifest import (
    MANIFEST_FILE,
    Files,
    read_folder,
    write_folder,
)
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.serving.exports import FILE_BY_ARTIFACT, serving_report
from visionops_assets.vision.tensorrt_target import Target

PLAN_FILE = "model.plan"
RECORD_FILE = "engine.json"
TIMINGS_FILE = "timing.cache"
SOURCE_FILE = FILE_BY_ARTIFACT[Artifact.ONNX_FP32]


class EngineRecord(TolerantRecord):
    """The ONNX file that an engine was built from, and its comparison with PyTorch."""

    key: str
    source_sha256: str
    report: ArtifactReport


def engine_prefix(exported: ExportedModel, key: str) -> str:
    """Key prefix of an engine's folder, with its slash."""
    return f"{exported.object_prefix}engines/{key}/"


def write_engine(
    object_store: ObjectStore, exported: ExportedModel, record: EngineRecord, plan: bytes
) -> None:
    """Store an engine and its record, signed."""
    files = {PLAN_FILE: plan, RECORD_FILE: record.model_dump_json(indent=2).encode()}
    write_folder(object_store, engine_prefix(exported, record.key), files)


def engine_for(object_store: ObjectStore, exported: ExportedModel, key: str) -> bytes | None:
    """Return the engine of a key, `Target.engine_key`, or None if ONNX must serve.

    ONNX serves if no engine was built for this GPU, TensorRT and precision, if it was built from
    other files, or if it differs too much from PyTorch.

    Raises:
        UntrustedArtifactError: there is one, but not the one that we signed.
    """
    prefix = engine_prefix(exported, key)
    if not object_store.exists(prefix + MANIFEST_FILE):
        return None
    files = read_folder(object_store, prefix)
    record = EngineRecord.model_validate_json(files[RECORD_FILE])
    is_of_export = record.source_sha256 == exported.sha256_by_file[SOURCE_FILE]
    return files[PLAN_FILE] if is_of_export and record.report.usable else None


def engine_or_onnx(
    object_store: ObjectStore, exported: ExportedModel, files: Files, key: str
) -> tuple[str, bytes]:
    """Return name and bytes of the artifact to serve on a GPU: an engine, else float32 ONNX.

    `files` are those of the export. INT8 ONNX is not a fallback: it is made for CPUs.

    Raises:
        UntrustedArtifactError: there is an engine, but not the one that we signed.
        ReleaseError: both differ too much from PyTorch.
    """
    plan = engine_for(object_store, exported, key)
    if plan is not None:
        return PLAN_FILE, plan
    file = serving_report(exported, "fp32").file
    return file, files[file]


def read_timings(object_store: ObjectStore, target: Target) -> bytes:
    """Return the kernel timings of earlier builds for a target, empty if they cannot be used."""
    try:
        return read_folder(object_store, _timings_prefix(target))[TIMINGS_FILE]
    except ReleaseError:
        # Another build may be writing them just now; they only save time.
        return b""


def write_timings(object_store: ObjectStore, target: Target, timings: bytes) -> None:
    """Keep kernel timings for the next build."""
    write_folder(object_store, _timings_prefix(target), {TIMINGS_FILE: timings})


def _timings_prefix(target: Target) -> str:
    return f"engine-timings/{target.slug}/"
