"""Tables of measurements of the served model and its servers, and of decisions.

The database itself refuses to change or delete rows of `decision`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base


class PerformanceWindow(Base):
    """One measurement of the newest predictions of one release: their accuracy, as far as known."""

    __tablename__ = "performance_window"

    window_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str]
    model_version: Mapped[int]
    predictions: Mapped[int]
    labelled: Mapped[int]
    unknown_labels: Mapped[int] = mapped_column(
        server_default="0", comment="Labels that are no class of the version: not in labelled."
    )
    correct: Mapped[int]
    accuracy: Mapped[float | None] = mapped_column(comment="None without labels.")
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    estimated_accuracy: Mapped[float | None] = mapped_column(
        comment="By confidence (CBPE), over all predictions of the window."
    )
    estimated_low: Mapped[float | None]
    estimated_high: Mapped[float | None]
    label_lag_s: Mapped[float | None] = mapped_column(
        comment="Median time from a prediction to its label."
    )
    scores: Mapped[list[dict[str, Any]]] = mapped_column(
        server_default="[]",
        comment="Precision, recall, F1 and accuracy by class and slice: rows of slice, measure, "
        "class, value, low, high, support.",
    )
    measured_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class DriftWindow(Base):
    """The newest predictions of one release, compared with the holdout of its model."""

    __tablename__ = "drift_window"

    window_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str]
    model_version: Mapped[int]
    predictions: Mapped[int]
    reference_frames: Mapped[int]
    results: Mapped[list[dict[str, Any]]] = mapped_column(
        comment="Rows of kind, statistic, p_value, p_adjusted, drifted."
    )
    drifted: Mapped[bool] = mapped_column(comment="Whether any kind did.")
    measured_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class HealthWindow(Base):
    """The health of the servers and of the pipeline at one time."""

    __tablename__ = "health_window"

    window_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    measurements: Mapped[list[dict[str, Any]]] = mapped_column(
        comment="Rows of name, labels, value, unit."
    )
    measured_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Decision(Base):
    """One decision of the retrain arbiter, with its evidence. Never changed."""

    __tablename__ = "decision"

    decision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str] = mapped_column(index=True)
    model_version: Mapped[int] = mapped_column(comment="The champion it is about.")
    release_id: Mapped[int] = mapped_column(ForeignKey("release.release_id"))
    outcome: Mapped[str] = mapped_column(comment="A contracts.Outcome.")
    reason: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    dagster_run_id: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class LabellingBatch(Base):
    """Files and predictions whose labels are asked for, for a purpose.

    At most one batch per model with the purpose `audit` is open.
    """

    __tablename__ = "labelling_batch"
    __table_args__ = (
        Index(
            "uq_labelling_batch_open",
            "model_name",
            unique=True,
            postgresql_where=text("closed_at IS NULL AND purpose = 'audit'"),
        ),
    )

    batch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_name: Mapped[str]
    model_version: Mapped[int | None] = mapped_column(
        comment="That answered the predictions, or chose the files; none without a model."
    )
    purpose: Mapped[str] = mapped_column(
        server_default=text("'audit'"), comment="A contracts.Purpose."
    )
    decision_id: Mapped[int | None] = mapped_column(
        ForeignKey("decision.decision_id"), comment="That asked; none of others than the arbiter."
    )
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class LabellingItem(Base):
    """One prediction or file of a labelling batch, or a part of a video, and who is at it."""

    __tablename__ = "labelling_item"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(media_id, prediction_id) = 1", name="ck_labelling_item_one_subject"
        ),
        CheckConstraint("start_s >= 0 AND end_s > start_s", name="ck_labelling_item_span"),
        CheckConstraint("num_nulls(start_s, end_s) <> 1", name="ck_labelling_item_whole_span"),
        CheckConstraint(
            "num_nulls(claimed_by, claimed_until) <> 1", name="ck_labelling_item_whole_claim"
        ),
        Index(
            "uq_labelling_item_subject",
            "batch_id",
            "prediction_id",
            "media_id",
            "start_s",
            "end_s",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    item_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("labelling_batch.batch_id"))
    prediction_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("prediction.prediction_id"), index=True
    )
    media_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("media.media_id", ondelete="CASCADE"), index=True
    )
    start_s: Mapped[float | None] = mapped_column(
        comment="Of the part of a video that is asked about; none of the whole file."
    )
    end_s: Mapped[float | None] = mapped_column(comment="Exclusive.")
    claimed_by: Mapped[str | None] = mapped_column(
        comment="Name of the API key that claimed it last."
    )
    claimed_until: Mapped[datetime | None] = mapped_column(
        comment="Until then it is offered to nobody else."
    )


class AdoptedLabel(Base):
    """A label of a prediction that became the label of a media file, and may be trained on."""

    __tablename__ = "adopted_label"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.annotation_id"), primary_key=True, autoincrement=False
    )
    media_id: Mapped[UUID] = mapped_column(ForeignKey("media.media_id"), index=True)
    adopted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Alert(Base):
    """An alert as Alertmanager reported it, when it fired and when it was over."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("fingerprint", "starts_at"),)

    alert_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    fingerprint: Mapped[str]
    name: Mapped[str]
    labels: Mapped[dict[str, Any]]
    annotations: Mapped[dict[str, Any]]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None] = mapped_column(comment="None while it fires.")
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
