"""Tables of verdicts, releases, engines and rollouts.

The database itself refuses to change or delete rows of `verdict`, `release` and `release_event`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base


class Verdict(Base):
    """The gate's verdict on a candidate. Never changed; a release reads it again."""

    __tablename__ = "verdict"

    verdict_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str]
    model_version: Mapped[int]
    passed: Mapped[bool]
    state: Mapped[str | None] = mapped_column(
        comment="A contracts.GateState. None in rows of programs from before it."
    )
    verdict: Mapped[dict[str, Any]] = mapped_column(comment="A contracts.GateVerdict.")
    dagster_run_id: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Release(Base):
    """One change of the champion. The newest row of a model names the version that must serve."""

    __tablename__ = "release"

    release_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str] = mapped_column(index=True)
    model_version: Mapped[int]
    previous_version: Mapped[int | None]
    snapshot_id: Mapped[str]
    manifest_sha256: Mapped[str]
    dagster_run_id: Mapped[str | None] = mapped_column(comment="None if no Dagster run did it.")
    released_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReleaseEvent(Base):
    """The audit: every change of what serves, done or refused, by whom and why."""

    __tablename__ = "release_event"

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str] = mapped_column(index=True)
    model_version: Mapped[int]
    action: Mapped[str] = mapped_column(
        comment="promoted, rolled_back, refused, failed, canary_started, shadow_started, "
        "rollout_promoted, rollout_ended, engine_served, engine_refused."
    )
    actor: Mapped[str] = mapped_column(comment="Who: a user, a Dagster run, a rule.")
    reason: Mapped[str]
    verdict: Mapped[dict[str, Any] | None] = mapped_column(
        comment="What it was decided by: the gate's verdict, or a rollout's evidence."
    )
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class EngineRow(Base):
    """The TensorRT engine of one version for one kind of GPU, as far as it came."""

    __tablename__ = "engine"

    model_name: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    gpu: Mapped[str] = mapped_column(primary_key=True, comment="Node label nvidia.com/gpu.product.")
    recipe: Mapped[str] = mapped_column(comment="Builder's image and precision.")
    state: Mapped[str] = mapped_column(comment="ready, serving, unusable, failed, refused.")
    reason: Mapped[str] = mapped_column(comment="Why it does not serve, or empty.")
    key: Mapped[str | None] = mapped_column(comment="Its folder's name. None if none was built.")
    plan_sha256: Mapped[str | None] = mapped_column(
        comment="Of the engine. None if none was built."
    )
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RolloutRow(Base):
    """A canary or shadow. At most one per model has no `ended_at`."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index(
            "uq_rollout_active",
            "model_name",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    rollout_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str]
    model_version: Mapped[int]
    champion_version: Mapped[int]
    role: Mapped[str] = mapped_column(comment="A contracts.Role: canary or shadow.")
    share_percent: Mapped[float]
    min_agreement: Mapped[float | None] = mapped_column(comment="None: as the rule says.")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class RolloutEvidence(Base):
    """The counts of one gateway for one arm of a rollout, since the rollout began."""

    __tablename__ = "rollout_evidence"

    rollout_id: Mapped[int] = mapped_column(
        ForeignKey("rollout.rollout_id"), primary_key=True, autoincrement=False
    )
    replica: Mapped[str] = mapped_column(primary_key=True, comment="A gateway process.")
    arm: Mapped[str] = mapped_column(primary_key=True, comment="A contracts.Arm.")
    requests: Mapped[int]
    errors: Mapped[int] = mapped_column(comment="That were the server's fault, not the image's.")
    latency_counts: Mapped[list[int]] = mapped_column(
        comment="Answers by bucket of catalog.rollouts.LATENCY_BOUNDS_MS, and above the last."
    )
    compared: Mapped[int] = mapped_column(comment="Images that both arms answered.")
    agreed: Mapped[int] = mapped_column(comment="With the same label.")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
