"""From labelled frames to a model that may be released."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings


class LearningSettings(BaseSettings):
    """Snapshots, training, the gate."""

    snapshot_min_new_labels: int = Field(
        500, gt=0, description="Newly labelled frames that make a new snapshot worthwhile."
    )
    snapshot_max_wait_s: float = Field(
        600.0, ge=0, description="Longest wait of labelled frames for a backlog to clear."
    )
    holdout_percent: int = Field(20, gt=0, lt=100)
    min_holdout_per_class: int = Field(5, gt=0)
    model_name: str = Field("classifier", pattern=r"^[A-Za-z0-9_-]+$")
    training_architecture: str = Field("resnet-tiny", description="One of vision/architectures.")
    training_epochs: int = Field(12, gt=0)
    training_seed: int = 0
    gate_min_margin: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the errors of the trivial answer (always the commonest class) that a "
        "first model must certainly save.",
    )
    gate_max_regression: float = Field(
        0.02, ge=0, le=1, description="Accuracy a candidate may be worse than the champion."
    )
    gate_min_accuracy: float | None = Field(
        None, ge=0, le=1, description="Accuracy that every model must certainly reach. Unset: none."
    )
    signing_key_file: Path | None = Field(
        None,
        description="Ed25519 private key (PEM) that signs what is exported and released. Default: "
        "<home>/signing.key, made when first needed.",
    )
