"""Builds the TensorRT engines of one export; the Kubernetes job of `engine_job` runs it.

    python -m visionops_assets.stages.serving.build_engine --model classifier --version 3

Exit codes: 0, every engine is usable; 2, one could not be built, with one line that says why; 3,
one differs too much from PyTorch: it is stored with its report, and never served. The records of
those that were built go to the file of `--records`, by which the asset `engine` reads them.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.contracts import Artifact, ArtifactReport, ExportedModel, ModelCard
from visionops_assets.errors import VisionOpsError
from visionops_assets.models import model_named
from visionops_assets.releasing.engines import (
    PLAN_FILE,
    RECORDS,
    EngineRecord,
    record_of,
    write_engine,
)
from visionops_assets.releasing.exports import FILE_BY_ARTIFACT, read_export
from visionops_assets.releasing.manifest import Files
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_reading import SnapshotFiles, on_whole_frames
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.model_files import download_model
from visionops_assets.stages.serving.engine_job import UNUSABLE_EXIT_CODE
from visionops_assets.stages.serving.engine_timings import read_timings, write_timings
from visionops_assets.stages.serving.export import Reference, bound_of, calibrate
from visionops_assets.tasks.signature import network_outputs
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.places import Whereabouts
from visionops_assets.vision.precision import to_float16
from visionops_assets.vision.tensorrt_engine import (
    Engine,
    build_engine,
    this_target,
)
from visionops_assets.vision.tensorrt_target import EnginePrecision

PRECISIONS: tuple[EnginePrecision, ...] = ("fp16", "int8")
logger = logging.getLogger(__name__)
SOURCE_FILE = FILE_BY_ARTIFACT[Artifact.ONNX_FP32]


def build_engines(
    object_store: ObjectStore,
    tracking: Tracking,
    model_name: str,
    model_version: int,
    whereabouts: Whereabouts,
    precisions: Sequence[EnginePrecision] = PRECISIONS,
) -> list[EngineRecord]:
    """Build engines from the signed ONNX file, compare each with PyTorch, and store them.

    Raises:
        SettingsError: there is no TensorRT or no GPU here.
        NotFoundError: MLflow or the object store lacks what the export names.
        ReleaseError: there is no such export, or TensorRT cannot build it.
        UntrustedArtifactError: the export is not the one that we signed.
    """
    this_target()
    exported, files = read_export(object_store, model_name, model_version)
    run_id = tracking.version_run_id(model_name, model_version)

    def build(snapshot: SnapshotFiles) -> list[EngineRecord]:
        with tempfile.TemporaryDirectory(prefix="visionops-") as name:
            module, card = download_model(tracking, run_id, Path(name))
            return _built(object_store, exported, files, snapshot, module, card, precisions)

    return on_whole_frames(object_store, exported.snapshot_id, whereabouts, build, logger.warning)


def _built(
    object_store: ObjectStore,
    exported: ExportedModel,
    files: Files,
    snapshot: SnapshotFiles,
    module: EmbeddingNetwork,
    card: ModelCard,
    precisions: Sequence[EnginePrecision],
) -> list[EngineRecord]:
    target, records = this_target(), []
    most = model_named(exported.model_name).serving.max_accuracy_drop
    reference = Reference.of(module, card, snapshot)
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)
        source = folder / SOURCE_FILE
        source.write_bytes(files[SOURCE_FILE])
        for precision in precisions:
            graph = folder / f"{precision}.onnx"
            if precision == "fp16":
                to_float16(source, graph)
            else:
                calibrate(source, card, snapshot, graph, runtime="tensorrt")
            built = build_engine(graph, card.spec.size_px, read_timings(object_store, target))
            write_timings(object_store, target, built.timing_cache)
            report = _compared(precision, built.plan, card, reference, most)
            key = target.engine_key(precision)
            record = record_of(key, exported, SOURCE_FILE, built.plan, report)
            write_engine(object_store, record, built.plan)
            records.append(record)
    return records


def _compared(
    precision: EnginePrecision, plan: bytes, card: ModelCard, reference: Reference, most: float
) -> ArtifactReport:
    artifact = Artifact(f"tensorrt-{precision}")
    bound = bound_of(artifact, most)
    report, _ = reference.report(
        artifact, PLAN_FILE, Engine(plan, card, network_outputs(card.task)).predict, bound
    )
    return report


def main(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[int, typer.Option(help="Its exported version.")],
    precision: Annotated[
        list[str], typer.Option(help="fp16 or int8; may be given more than once.")
    ] = list(PRECISIONS),  # noqa: B006 - Typer reads it, nothing changes it
    records_file: Annotated[
        Path | None, typer.Option("--records", help="File for the records of the engines.")
    ] = None,
) -> None:
    """Build the TensorRT engines of an export for the GPU of this machine."""
    wanted = [known for known in PRECISIONS if known in precision]
    if len(wanted) != len(set(precision)):
        raise typer.BadParameter(f"--precision is one of {', '.join(PRECISIONS)}.")
    try:
        places = FramePlaces(Catalog())
        records = build_engines(ObjectStore(), Tracking(), model, version, places, wanted)
    except VisionOpsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if records_file is not None:
        records_file.write_bytes(RECORDS.dump_json(records))
    reports = [record.report for record in records]
    for report in reports:
        shortfalls = "; ".join(report.shortfalls)
        typer.echo(
            f"{report.artifact.value}: accuracy {report.accuracy:.4f} "
            f"(PyTorch {report.reference_accuracy:.4f}), {report.latency_ms:.2f} ms an image, "
            + (f"not usable: {shortfalls}" if shortfalls else "usable")
        )
    if not all(report.usable for report in reports):
        raise typer.Exit(UNUSABLE_EXIT_CODE)


if __name__ == "__main__":
    typer.run(main)
