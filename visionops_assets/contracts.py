"""The records that cross rooms. Each is immutable and says its units.

What travels by Kafka, by HTTP or beside model weights is one of these; anything else is a room's
own business. Must stay importable inside Triton's environment: pydantic and the standard library.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator


class Record(BaseModel):
    """Base of every record: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class MediaKind(StrEnum):
    """What a media file decodes to."""

    IMAGE = "image"
    VIDEO = "video"


class MediaStatus(StrEnum):
    """Life of a media file: receiving, stored, queued, then processed or quarantined."""

    RECEIVING = "receiving"
    STORED = "stored"
    QUEUED = "queued"
    PROCESSED = "processed"
    QUARANTINED = "quarantined"


class Role(StrEnum):
    """In which part a served version answered. A shadow's answer never reaches a client."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


class Arm(StrEnum):
    """The two versions that a canary or shadow compares."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


class Outcome(StrEnum):
    """What the retrain arbiter decided; `wait` is a decision too."""

    WAIT = "wait"
    ASK_FOR_LABELS = "ask_for_labels"
    RETRAIN = "retrain"
    ROLL_BACK = "roll_back"


class Scope(StrEnum):
    """What an API key may do. `admin` may do everything."""

    INGEST = "ingest"
    PREDICT = "predict"
    LABEL = "label"
    ADMIN = "admin"


class MediaEvent(Record):
    """Says that one media file is stored. At least once delivered.

    `event_id` follows from the media id and the number of the announcement: an event that is
    published again is the same event, and a file that is to be processed again gets a new one.
    """

    schema_version: Literal[1] = 1
    event_id: UUID
    media_id: UUID
    object_key: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    kind: MediaKind
    content_type: str
    source: str
    captured_at: datetime
    stored_at: datetime


class DeadLetter(Record):
    """A message that could not be handled: where it lay, what it said (Base64), and why not."""

    schema_version: Literal[1] = 1
    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    value: Base64Bytes
    code: str
    detail: str
    failed_at: datetime

    @property
    def place(self) -> str:
        """Name the letter by where its message lay: `<topic>-<partition>-<offset>`."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class PreprocessingSpec(Record):
    """How media become frames: used alike by the frames stage, training and serving.

    A frame is a `uint8` array of shape (size_px, size_px, 3), channels in RGB order.
    """

    size_px: int = Field(64, ge=8, le=4096)
    colour: Literal["rgb", "gray"] = "rgb"
    resize: Literal["stretch", "letterbox"] = "stretch"
    video_sample_interval_s: float = Field(1.0, gt=0)

    @property
    def spec_id(self) -> str:
        """Identify the spec by its content, so that equal specs are one spec."""
        return "pp-" + hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class ModelCard(Record):
    """What must be known to run a model's weights; stored beside them as `model.json`.

    `mean` and `std` are per channel, of pixels scaled to 0..1.
    """

    architecture: str
    classes: tuple[str, ...] = Field(min_length=2)
    embedding_size: int = Field(gt=0)
    spec: PreprocessingSpec
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    snapshot_id: str
    seed: int


class Candidate(Record):
    """One registered version of a model: the identity that evaluation, export and release use."""

    model_name: str
    model_version: int = Field(gt=0)
    mlflow_run_id: str
    snapshot_id: str


class GateState(StrEnum):
    """What the gate says of a candidate; undecided is for want of holdout groups."""

    PASSED = "passed"
    REFUSED = "refused"
    UNDECIDED = "undecided"


def _state_of_old_verdicts(fields: dict[str, Any]) -> GateState:
    return GateState.PASSED if fields.get("passed") else GateState.REFUSED


class GateVerdict(Record):
    """The gate's answer for one candidate on one frozen holdout.

    The limits of accuracy are at 95 % and count groups. `trivial_accuracy` is that of always naming
    the commonest class; `groups_needed` is how many more holdout groups would tell, of a verdict
    that is undecided, None where no number would. Verdicts of before there were three states lack
    the fields that have defaults.
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


class ParityBound(Record):
    """How far an artifact may be from PyTorch. The defaults bind nothing."""

    min_label_agreement: float = Field(0.0, ge=0, le=1)
    max_probability_error: float = Field(1.0, ge=0, le=1)
    max_accuracy_drop: float = Field(1.0, ge=0, le=1)


class ArtifactReport(Record):
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
        """Accuracy lost against PyTorch; below zero if it won some."""
        # Shares of images are not exact in binary: 0.97 - 0.96 is more than 0.01.
        return round(self.reference_accuracy - self.accuracy, 9)

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What its bound forbids, in words."""
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
        """Whether it may be served in the place of PyTorch."""
        return not self.shortfalls


class ExportedModel(Record):
    """The files of a candidate below `object_prefix`, and how each artifact keeps to PyTorch."""

    # Records of earlier versions have fields that are gone: they are read all the same.
    model_config = ConfigDict(extra="ignore")

    model_name: str
    model_version: int = Field(gt=0)
    snapshot_id: str
    object_prefix: str
    sha256_by_file: dict[str, str]
    artifacts: tuple[ArtifactReport, ...] = ()

    def report(self, artifact: Artifact) -> ArtifactReport | None:
        """Return the report of an artifact, or None if it was not made."""
        return next((found for found in self.artifacts if found.artifact == artifact), None)


class ReleasedModel(Record):
    """One promotion: which version serves since when, and in whose place."""

    release_id: int
    model_name: str
    model_version: int = Field(gt=0)
    previous_version: int | None
    snapshot_id: str
    released_at: datetime


class Rollout(Record):
    """A candidate that is being tried beside the champion, as `role` canary or shadow.

    `share_percent` is the part of the traffic that it gets. `min_agreement` is the share of images
    on which both must give the same label, where that is not the rule's own: a model that is to
    repair a champion will not agree with it.
    """

    rollout_id: int
    model_name: str
    model_version: int = Field(gt=0)
    champion_version: int = Field(gt=0)
    role: Literal[Role.CANARY, Role.SHADOW]
    share_percent: float = Field(gt=0, le=100)
    min_agreement: float | None = Field(None, ge=0, le=1)
    started_at: datetime


class Prediction(Record):
    """One answer of the served pipeline, as recorded by its last step.

    `latency_ms` is from the start of the batch to its answer. `image` is that of a sample of the
    predictions, and of those whose client asked for it: as it was sent, or scaled down if it was
    large. `quality` are the `QUALITY_MEASURES` of the frame, as `vision.monitoring` defines them;
    none in records of pipelines that did not measure them.
    """

    prediction_id: UUID
    predicted_at: datetime
    model_name: str
    model_version: int
    snapshot_id: str
    role: Role = Role.CHAMPION
    label: str
    probabilities: tuple[float, ...]
    embedding: tuple[float, ...]
    image_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    latency_ms: float = Field(ge=0)
    quality: tuple[float, ...] = ()
    image: Base64Bytes | None = None
