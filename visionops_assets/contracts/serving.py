"""Served models: releases, rollouts, predictions and decisions."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Base64Bytes, Field

from visionops_assets.contracts.base import (
    MAX_INTEGER,
    Moment,
    Number,
    Text,
    TolerantRecord,
)


class Role(StrEnum):
    """The part in which a served version answered. A shadow's answer never reaches a client."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


class Arm(StrEnum):
    """The two versions that a canary or shadow compares."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


class Outcome(StrEnum):
    """The decisions of the retrain arbiter; `wait` is one too."""

    WAIT = "wait"
    ASK_FOR_LABELS = "ask_for_labels"
    RETRAIN = "retrain"
    ROLL_BACK = "roll_back"


class ReleasedModel(TolerantRecord):
    """One promotion: the version that serves, since when, and the version it replaced."""

    release_id: int
    model_name: str
    model_version: int = Field(gt=0)
    previous_version: int | None
    snapshot_id: str
    released_at: datetime


class Rollout(TolerantRecord):
    """A candidate that is being tried beside the champion, as `role` canary or shadow.

    `share_percent` is the part of the traffic that it gets. `min_agreement` is the share of images
    to which both must give the same answer, None for that of the rule: a model that repairs a
    champion will not agree with it.
    """

    rollout_id: int
    model_name: str
    model_version: int = Field(gt=0)
    champion_version: int = Field(gt=0)
    role: Literal[Role.CANARY, Role.SHADOW]
    share_percent: float = Field(gt=0, le=100)
    min_agreement: float | None = Field(None, ge=0, le=1)
    started_at: datetime


class Prediction(TolerantRecord):
    """One answer of the served pipeline, as recorded by its last step.

    `latency_ms` is from the start of the batch to its answer. A sample of the predictions has an
    `image`, and so have those whose client asked for it: as it was sent, or scaled down if large.
    `quality` are the `QUALITY_MEASURES` of the frame, as `vision.monitoring` defines them; none in
    records of pipelines that did not measure them.
    """

    prediction_id: UUID
    predicted_at: Moment
    model_name: Text
    model_version: int = Field(gt=0, le=MAX_INTEGER)
    snapshot_id: Text
    role: Role = Role.CHAMPION
    label: Text
    probabilities: tuple[Number, ...] = Field(min_length=1)
    embedding: tuple[Number, ...]
    image_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    # Not a `Number`: the lower bound of that would take the place of this one.
    latency_ms: float = Field(ge=0, le=3.5e38)
    quality: tuple[Number, ...] = ()
    image: Base64Bytes | None = None
