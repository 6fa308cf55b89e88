"""A model on its way to a release: weights, verdict, exports."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from visionops_assets.contracts.base import TolerantRecord
from visionops_assets.contracts.preprocessing import PreprocessingSpec
from visionops_assets.contracts.tensors import CLASSES, EMBEDDING_SIZE, SIDE_PX

Network = Literal["resnet-tiny", "resnet-18"]
"""The networks that can be trained; `vision.architectures.BODIES` builds them."""
FIRST_TASK = "classification"
"""The task of records that name none: they were written when there was no other."""


class ModelCard(TolerantRecord):
    """The facts needed to run a model's weights; stored beside them as `model.json`.

    `mean` and `std` are per channel, of pixels scaled to 0..1. `thresholds` are by class, for tasks
    that name a class from some probability on.
    """

    task: str = FIRST_TASK
    architecture: str
    classes: tuple[str, ...] = Field(min_length=2)
    embedding_size: int = Field(gt=0)
    spec: PreprocessingSpec
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    snapshot_id: str
    seed: int
    thresholds: tuple[float, ...] | None = None

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the sizes of tensors that depend on the model, by the names of dimensions."""
        return {
            CLASSES: len(self.classes),
            EMBEDDING_SIZE: self.embedding_size,
            SIDE_PX: self.spec.size_px,
        }


class Candidate(TolerantRecord):
    """One registered version of a model: the identity that evaluation, export and release use."""

    model_name: str
    model_version: int = Field(gt=0)
    mlflow_run_id: str
    snapshot_id: str


class GateState(StrEnum):
    """The gate's verdict in a word; undecided where the holdout has too few groups."""

    PASSED = "passed"
    REFUSED = "refused"
    UNDECIDED = "undecided"


def _state_of_old_verdicts(fields: dict[str, Any]) -> GateState:
    return GateState.PASSED if fields.get("passed") else GateState.REFUSED


class GateVerdict(TolerantRecord):
    """The gate's verdict on one candidate, by one frozen holdout.

    The limits of accuracy are at 95 % and count groups. `trivial_accuracy` is that of the best
    answer that looks at no image. Where another score than accuracy judged, `score_name` names it,
    and its fields are those of accuracy. `groups_needed` is the number of further holdout groups
    that an undecided verdict lacks, None where no number would help. Older verdicts lack the fields
    that have defaults.
    """

    model_name: str
    model_version: int = Field(gt=0)
    champion_version: int | None
    snapshot_id: str
    holdout_size: int = Field(gt=0)
    accuracy: float = Field(ge=0, le=1)
    accuracy_low: float = Field(ge=0, le=1)
    accuracy_high: float = Field(ge=0, le=1)
    champion_accuracy: float | None
    passed: bool
    reason: str
    state: GateState = Field(default_factory=_state_of_old_verdicts)
    groups_needed: int | None = Field(None, gt=0)
    holdout_groups: int | None = Field(None, gt=0)
    trivial_accuracy: float | None = Field(None, ge=0, le=1)
    score_name: str | None = None
    score: float | None = Field(None, ge=0, le=1)
    score_low: float | None = Field(None, ge=0, le=1)
    score_high: float | None = Field(None, ge=0, le=1)
    trivial_score: float | None = Field(None, ge=0, le=1)
    champion_score: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.passed != (self.state is GateState.PASSED):
            raise ValueError(f"A verdict that is {self.state} cannot have passed={self.passed}.")
        return self


class Artifact(StrEnum):
    """The forms in which a model can be served."""

    ONNX_FP32 = "onnx-fp32"
    ONNX_INT8 = "onnx-int8"
    TENSORRT_FP16 = "tensorrt-fp16"
    TENSORRT_INT8 = "tensorrt-int8"


class ParityBound(TolerantRecord):
    """How far an artifact may be from PyTorch. The defaults bind nothing."""

    min_label_agreement: float = Field(0.0, ge=0, le=1)
    max_probability_error: float = Field(1.0, ge=0, le=1)
    max_accuracy_drop: float = Field(1.0, ge=0, le=1)


class ArtifactReport(TolerantRecord):
    """One artifact beside PyTorch on the same holdout images.

    `max_probability_error` is the largest difference of any probability. `latency_ms` is the median
    for one image by itself, on one thread of a CPU or on the GPU it was built for.
    """

    artifact: Artifact
    file: str
    images: int = Field(gt=0)
    label_agreement: float = Field(ge=0, le=1)
    max_probability_error: float = Field(ge=0, le=1)
    accuracy: float = Field(ge=0, le=1)
    reference_accuracy: float = Field(ge=0, le=1)
    latency_ms: float = Field(ge=0)
    bound: ParityBound

    @property
    def accuracy_drop(self) -> float:
        """Return the accuracy lost against PyTorch; below zero if some was gained."""
        # Shares of images are not exact in binary: 0.97 - 0.96 is more than 0.01.
        return round(self.reference_accuracy - self.accuracy, 9)

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Say in words which bounds the artifact misses."""
        bound, found = self.bound, []
        if self.label_agreement < bound.min_label_agreement:
            found.append(f"label agreement {self.label_agreement} < {bound.min_label_agreement}")
        if self.max_probability_error > bound.max_probability_error:
            error = f"{self.max_probability_error:.2g}"
            found.append(f"largest probability error {error} > {bound.max_probability_error}")
        if self.accuracy_drop > bound.max_accuracy_drop:
            found.append(f"accuracy drop {self.accuracy_drop:.4f} > {bound.max_accuracy_drop}")
        return tuple(found)

    @property
    def usable(self) -> bool:
        """Say whether the artifact may be served in place of PyTorch."""
        return not self.shortfalls


class ExportedModel(TolerantRecord):
    """The files of a candidate below `object_prefix`, each artifact compared with PyTorch."""

    model_name: str
    model_version: int = Field(gt=0)
    snapshot_id: str
    object_prefix: str
    sha256_by_file: dict[str, str]
    artifacts: tuple[ArtifactReport, ...] = ()

    def report(self, artifact: Artifact) -> ArtifactReport | None:
        """Return the report of an artifact, or None if it was not made."""
        return next((found for found in self.artifacts if found.artifact == artifact), None)
