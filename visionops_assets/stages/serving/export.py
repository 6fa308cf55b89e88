"""Turns a candidate into artifacts that can be served, each compared with PyTorch on the holdout.

Imports PyTorch, so only runs that export import it. Not here: the folder of an export (see
`exports`), and TensorRT engines, which need a GPU (see `build_engine`).
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visionops_assets.contracts import (
    Artifact,
    ArtifactReport,
    Candidate,
    ExportedModel,
    ModelCard,
    ParityBound,
)
from visionops_assets.errors import ReleaseError
from visionops_assets.models import model_named
from visionops_assets.releasing.exports import EXPORT_FILE, FILE_BY_ARTIFACT, export_prefix
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.releasing.manifest import (
    sha256_by_file,
    write_folder,
)
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    TRAIN,
    labels_of,
)
from visionops_assets.resources.snapshot_reading import SnapshotFiles, on_whole_frames
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.model_files import download_model
from visionops_assets.tasks.base import Outputs, Targets
from visionops_assets.tasks.registry import judging
from visionops_assets.tasks.running import export, open_onnx, run
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.parity import Parity, Predict, median_latency_ms
from visionops_assets.vision.places import Whereabouts
from visionops_assets.vision.precision import Runtime, calibration_sample, quantize
from visionops_assets.vision.selection import Images

MAX_PROBABILITY_ERROR_FP32 = 1e-3
"""Float32 sums taken in another order differ by about 1e-6; a wrong export by far more."""
MAX_PROBABILITY_ERROR_FP16 = 0.05
"""FP16 has 11 bits: on a ResNet it moves a probability by less than 0.01."""


@dataclass(frozen=True)
class Reference:
    """The reference of every artifact of a candidate: PyTorch's answers on the holdout.

    `images` is uint8 (N, S, S, 3), `targets` and `outputs` are those of the card's task (N rows).
    """

    card: ModelCard
    images: Images
    targets: Targets
    outputs: Outputs

    @classmethod
    def of(cls, module: EmbeddingNetwork, card: ModelCard, snapshot: SnapshotFiles) -> "Reference":
        """Let PyTorch answer on the whole holdout of a snapshot.

        Raises:
            ReleaseError: the snapshot has no holdout.
        """
        holdout = snapshot.side(HOLDOUT)
        if not len(holdout.images):
            raise ReleaseError(f"{card.snapshot_id} has no holdout images to compare with.")
        outputs = run(module, holdout.images, card)
        return cls(card, holdout.images, targets_of(holdout, card), outputs)

    def report(
        self, artifact: Artifact, file: str, predict: Predict, bound: ParityBound
    ) -> tuple[ArtifactReport, Parity]:
        """Let an artifact answer on the same images, and compare it with its bound."""
        parity = judging(self.card.task).parity(
            self.outputs, predict(self.images), self.targets, self.card
        )
        report = ArtifactReport(
            artifact=artifact,
            file=file,
            images=len(self.images),
            label_agreement=parity.label_agreement,
            max_probability_error=parity.max_probability_error,
            accuracy=parity.accuracy,
            reference_accuracy=parity.reference_accuracy,
            latency_ms=median_latency_ms(predict, self.images[0]),
            bound=bound,
        )
        return report, parity


@dataclass(frozen=True)
class Export:
    """A finished export, and the errors of each artifact, for a picture."""

    exported: ExportedModel
    parity_by_artifact: dict[Artifact, Parity]


def targets_of(side: SnapshotFiles, card: ModelCard) -> Targets:
    """Return the targets of one side's frames, as the card's task has them."""
    return judging(card.task).targets(labels_of(side.members, card.task), card.classes)


def bound_of(artifact: Artifact, most: float) -> ParityBound:
    """Return how far an artifact may be from PyTorch; `most` is the declared drop of accuracy."""
    match artifact:
        case Artifact.ONNX_FP32:
            return ParityBound(
                min_label_agreement=1,
                max_probability_error=MAX_PROBABILITY_ERROR_FP32,
                max_accuracy_drop=0,
            )
        case Artifact.TENSORRT_FP16:
            return ParityBound(
                max_probability_error=MAX_PROBABILITY_ERROR_FP16, max_accuracy_drop=most
            )
        case Artifact.ONNX_INT8 | Artifact.TENSORRT_INT8:
            return ParityBound(max_accuracy_drop=most)


def export_candidate(
    candidate: Candidate,
    tracking: Tracking,
    object_store: ObjectStore,
    whereabouts: Whereabouts,
    tell: Callable[[str], None],
) -> Export:
    """Export a candidate, compare its artifacts on the holdout, store them in S3 and MLflow.

    Raises:
        NotFoundError: MLflow or the object store lacks what the candidate names.
        ReleaseError: there is no holdout to compare on.
    """
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)

        def make(snapshot: SnapshotFiles) -> _Made:
            return _make(candidate, tracking, snapshot, folder)

        made = on_whole_frames(object_store, candidate.snapshot_id, whereabouts, make, tell)
        files = {file: (folder / file).read_bytes() for file in FILE_BY_ARTIFACT.values()}
        files[CARD_FILE] = made.card.model_dump_json(indent=2).encode()
        for file in FILE_BY_ARTIFACT.values():
            tracking.log_file(candidate.mlflow_run_id, folder / file)
    exported = ExportedModel(
        model_name=candidate.model_name,
        model_version=candidate.model_version,
        snapshot_id=candidate.snapshot_id,
        object_prefix=export_prefix(candidate.model_name, candidate.model_version),
        sha256_by_file=sha256_by_file(files),
        artifacts=tuple(made.reports),
    )
    files[EXPORT_FILE] = exported.model_dump_json(indent=2).encode()
    write_folder(object_store, exported.object_prefix, files)
    return Export(exported, made.parities)


@dataclass(frozen=True)
class _Made:
    """The artifacts of a candidate in a folder, as they compare."""

    card: ModelCard
    reports: list[ArtifactReport]
    parities: dict[Artifact, Parity]


def _make(candidate: Candidate, tracking: Tracking, snapshot: SnapshotFiles, folder: Path) -> _Made:
    module, card = download_model(tracking, candidate.mlflow_run_id, folder)
    reference = Reference.of(module, card, snapshot)
    onnx_path = folder / FILE_BY_ARTIFACT[Artifact.ONNX_FP32]
    export(module, card, onnx_path)
    calibrate(onnx_path, card, snapshot, folder / FILE_BY_ARTIFACT[Artifact.ONNX_INT8])
    most = model_named(candidate.model_name).serving.max_accuracy_drop
    return _Made(card, *_compare_onnx(reference, card, folder, most))


def _compare_onnx(
    reference: Reference, card: ModelCard, folder: Path, most: float
) -> tuple[list[ArtifactReport], dict[Artifact, Parity]]:
    reports, parities = [], {}
    for artifact, file in FILE_BY_ARTIFACT.items():
        predict = open_onnx(folder / file, card).predict
        report, parity = reference.report(artifact, file, predict, bound_of(artifact, most))
        reports.append(report)
        parities[artifact] = parity
    return reports, parities


def calibrate(
    onnx_path: Path,
    card: ModelCard,
    snapshot: SnapshotFiles,
    path: Path,
    runtime: Runtime = "cpu",
) -> None:
    """Write the INT8 form of an ONNX model, calibrated on its training frames."""
    train = snapshot.side(TRAIN)
    chosen = calibration_sample(judging(card.task).kinds(targets_of(train, card)))
    quantize(onnx_path, train.images[chosen], card, path, runtime=runtime)
