"""The sections of a model's declaration, each field with its range, its default and its meaning."""

from fnmatch import fnmatchcase
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from visionops_assets.contracts import Network
from visionops_assets.contracts.base import Record
from visionops_assets.vision.recipe import Augmentation


class MediaChoice(Record):
    """The media that the model learns from."""

    sources: tuple[Annotated[str, Field(pattern=r"^[^\[\]]+$")], ...] = Field(
        ("*",),
        min_length=1,
        description="Sources of the media that it learns from: patterns of `*` and `?`, as "
        "`gate-*`.",
    )

    def looks_at(self, source: str) -> bool:
        """Say whether the model looks at the media of a source."""
        return any(fnmatchcase(source, pattern) for pattern in self.sources)


class Snapshots(Record):
    """When a dataset snapshot is cut, and how it is split."""

    min_new_labels: int = Field(
        500, gt=0, description="Newly labelled frames that make a new snapshot worthwhile at once."
    )
    pause_s: float = Field(
        20.0,
        ge=0,
        description="After this long without a new label, fewer frames make a snapshot too: the "
        "first one as soon as it can be trained on, later ones by `min_new_share`.",
    )
    min_new_share: float = Field(
        0.1,
        gt=0,
        description="Newly labelled frames, as a share of the newest snapshot's, that make a new "
        "snapshot worthwhile after a pause.",
    )
    max_wait_s: float = Field(
        600.0, ge=0, description="Longest wait of labelled frames for a backlog to clear."
    )
    holdout_percent: int = Field(
        20,
        gt=0,
        lt=100,
        description="Percentage of the groups that make the holdout, which is never trained on.",
    )
    min_holdout_per_class: int = Field(
        5, gt=0, description="Frames of each class that the holdout needs, at least."
    )

    group_window_s: float = Field(
        0.0,
        ge=0,
        description="Files of one source that were captured within the same stretch of this many "
        "seconds are one group, as the pictures of a camera that sees one thing for a while; 0: "
        "time groups nothing.",
    )

    @property
    def groups_per_class(self) -> int:
        """Estimate the labelled groups, of one frame each, that each class needs to be judged."""
        return ceil(self.min_holdout_per_class * 100 / self.holdout_percent)


class Training(Record):
    """The network and the recipe that it is trained by."""

    network: Network = Field("resnet-tiny", description="Network that is trained.")
    steps: int | None = Field(
        None,
        gt=0,
        description="Steps of training at most. Left out: chosen from the number of frames and "
        "classes. Training ends earlier when it gets no better.",
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak of the learning rate. Left out: 0.01."
    )
    seed: int = Field(0, description="Fixes all that is random in training.")
    augment: Augmentation = Augmentation()


class Gate(Record):
    """The limits that a candidate must certainly keep on the holdout."""

    score: str | None = Field(
        None,
        description="Score by which candidates are judged, such as `accuracy`, `macro_f1` or "
        "`micro_f1`. Left out: the first one of the task.",
    )
    min_margin: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the errors of the trivial answer (always the same classes) that a "
        "first model must certainly save.",
    )
    max_regression: float = Field(
        0.02, ge=0, le=1, description="How much of the score a candidate may lose to the champion."
    )
    min_score: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Score that every version must certainly reach. Left out: none.",
    )
    min_accuracy: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Accuracy that every version must certainly reach, whatever the score. Left "
        "out: none.",
    )


class Rollouts(Record):
    """When a canary or a shadow passes."""

    min_requests: int = Field(
        200, gt=0, description="Requests of a canary or shadow before it is judged."
    )
    max_error_increase: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How far a candidate's error rate may be above the champion's.",
    )
    max_latency_ratio: float = Field(
        1.5,
        gt=0,
        description="Largest ratio of a candidate's 95th percentile of latency to the champion's. "
        "It fails where it is above by 99 % confidence.",
    )
    min_agreement: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Least share of images to which both must give the same answer.",
    )
    max_s: float = Field(
        3_600.0,
        gt=0,
        description="Longest time of a rollout; one that is not judged by then is ended.",
    )


class Serving(Record):
    """The artifact that is served, and how a version is tried."""

    precision: Literal["fp32", "int8"] = Field(
        "fp32", description="ONNX artifact that is served on CPUs; INT8 pays off on heavy models."
    )
    engine_precision: Literal["fp16", "int8"] = Field(
        "fp16", description="Precision of the TensorRT engines."
    )
    max_accuracy_drop: float = Field(
        0.01, ge=0, le=1, description="Holdout accuracy an INT8 or TensorRT artifact may lose."
    )
    rollouts: Rollouts = Rollouts()


class Monitoring(Record):
    """The window and the tests by which the served version is watched."""

    window_predictions: int = Field(
        2_000, gt=0, description="Newest predictions of a release that one measurement looks at."
    )
    min_accuracy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The limit of accuracy: below it the model must be replaced. Left out: it "
        "follows from what the gate measured of the served version.",
    )
    audit_percent: float = Field(
        10.0,
        gt=0,
        le=100,
        description="Share of the predictions that is drawn by chance. Only labels that answer a "
        "draw say how often the model is right.",
    )
    average_run_length: float = Field(
        5_000.0,
        gt=1,
        description="Labels on average until a false alarm, for a model exactly at the limit.",
    )
    drift_significance: float = Field(
        0.01, gt=0, lt=1, description="Chance that undrifted images are called drifted."
    )
    drift_min_predictions: int = Field(
        100, gt=1, description="Fewest predictions with which drift is tested."
    )


class Retraining(Record):
    """When the arbiter retrains, and when it rolls back."""

    min_new_labels: int = Field(
        100, gt=0, description="Newly labelled frames that a retraining needs."
    )
    cooldown_s: float = Field(
        1_800.0,
        ge=0,
        description="Shortest time between two retrainings; it doubles when one is refused.",
    )
    max_cooldown_s: float = Field(
        86_400.0, ge=0, description="Longest that this time gets by doubling."
    )
    max_s: float = Field(
        7_200.0,
        gt=0,
        description="Longest time of a retraining; one without a result by then is given up.",
    )
    canary_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        description="Percentage of the gateway's traffic on which a retrained version is tried "
        "first. 0 releases it at once, for installations whose requests do not pass the gateway.",
    )
    rollback_within_labels: int = Field(
        500,
        ge=0,
        description="A release that raises the alarm within this many labels is rolled back, if "
        "the one before it raised none.",
    )


class Labelling(Record):
    """The labelling batches that the arbiter opens."""

    batch_size: int = Field(200, gt=0, description="Predictions per labelling batch.")
    reports: int = Field(
        20,
        gt=0,
        description="Answers that volunteers reported wrong, since labels were last asked for, "
        "that open a batch.",
    )
    batch_max_age_s: float = Field(
        604_800.0, gt=0, description="Age at which an open labelling batch is closed."
    )
