"""Settings of the way from labelled frames to a verdict: snapshots, training and the gate."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from visionops_assets.contracts import Network


class LearningSettings(BaseSettings):
    """Snapshots, training, the gate."""

    snapshot_min_new_labels: int = Field(
        500, gt=0, description="Newly labelled frames that make a new snapshot worthwhile at once."
    )
    snapshot_pause_s: float = Field(
        20.0,
        ge=0,
        description="After this long without a new label, fewer frames make a snapshot too: the "
        "first one as soon as it can be trained on, later ones by "
        "`VISIONOPS_SNAPSHOT_MIN_NEW_SHARE`.",
    )
    snapshot_min_new_share: float = Field(
        0.1,
        gt=0,
        description="Newly labelled frames, as a share of the newest snapshot's, that make a new "
        "snapshot worthwhile after a pause.",
    )
    snapshot_max_wait_s: float = Field(
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
    model_name: str = Field(
        "classifier",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Name of the model, by which clients, Triton and MLflow know it.",
    )
    training_architecture: Network = Field("resnet-tiny", description="Network that is trained.")
    training_steps: int | None = Field(
        None,
        gt=0,
        description="Steps of training at most. Unset: chosen from the number of frames and "
        "classes. Training ends earlier when it gets no better.",
    )
    training_learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak of the learning rate. Unset: 0.01."
    )
    training_seed: int = Field(0, description="Fixes all that is random in training.")
    augment_crop: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of width and height that is cut off training images, at most.",
    )
    augment_shift: float = Field(
        0.08,
        ge=0,
        lt=1,
        description="Share of width and height by which training images move, at most.",
    )
    augment_zoom: float = Field(
        0.1, ge=0, lt=1, description="Share by which training images grow or shrink, at most."
    )
    augment_rotation_deg: float = Field(
        10.0, ge=0, le=180, description="Degrees by which training images turn either way, at most."
    )
    augment_brightness: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share by which light and contrast of training images vary, at most.",
    )
    augment_colour: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share by which each colour of training images varies, at most.",
    )
    augment_flip: Literal["none", "horizontal"] = Field(
        "none",
        description="`horizontal` mirrors half of the training images. Do not use it for "
        "letters, signs, or other things that have a left and a right.",
    )
    gate_min_margin: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the errors of the trivial answer (always the commonest class) that a "
        "first model must certainly save.",
    )
    gate_max_regression: float = Field(
        0.02, ge=0, le=1, description="Accuracy that a candidate may lose to the champion."
    )
    gate_min_accuracy: float | None = Field(
        None, ge=0, lt=1, description="Accuracy that every model must certainly reach. Unset: none."
    )
    signing_key_file: Path | None = Field(
        None,
        description="Ed25519 private key (PEM) that signs what is exported and released. Default: "
        "<home>/signing.key, made when first needed.",
    )
