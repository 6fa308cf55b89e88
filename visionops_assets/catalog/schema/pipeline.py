"""Tables of the pipeline: batches, frames, annotations, datasets, predictions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base


class MediaBatch(Base):
    """One offset range of the media topic: a partition of `media_batches`."""

    __tablename__ = "media_batch"

    batch_key: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str]
    topic_partition: Mapped[int]
    start_offset: Mapped[int]
    end_offset: Mapped[int] = mapped_column(comment="Exclusive.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    processed_at: Mapped[datetime | None]


class ConsumedEvent(Base):
    """One media event taken from the queue. These rows make the consumer idempotent."""

    __tablename__ = "consumed_event"
    __table_args__ = (UniqueConstraint("topic", "topic_partition", "topic_offset"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str]
    topic_partition: Mapped[int]
    topic_offset: Mapped[int]
    media_id: Mapped[UUID] = mapped_column(ForeignKey("media.media_id"), index=True)
    batch_key: Mapped[str] = mapped_column(ForeignKey("media_batch.batch_key"), index=True)


class Frame(Base):
    """One processed frame: PNG or JPEG at `shard_offset` in a tar shard of the object store."""

    __tablename__ = "frame"
    __table_args__ = (UniqueConstraint("media_id", "spec_id", "frame_index"),)

    frame_id: Mapped[UUID] = mapped_column(primary_key=True)
    media_id: Mapped[UUID] = mapped_column(ForeignKey("media.media_id"))
    spec_id: Mapped[str]
    frame_index: Mapped[int]
    time_s: Mapped[float] = mapped_column(comment="From the start of the video; 0 in an image.")
    perceptual_hash: Mapped[str] = mapped_column(comment="64-bit difference hash, 16 hex digits.")
    shard_key: Mapped[str] = mapped_column(index=True)
    shard_offset: Mapped[int] = mapped_column(comment="Of the PNG's first byte.")
    frame_bytes: Mapped[int]
    content_hash: Mapped[str | None] = mapped_column(
        comment="vision.shards.digest_of its bytes; none of a frame of versions before."
    )
    quality: Mapped[list[float]] = mapped_column(
        server_default="[]", comment="vision.monitoring.quality.FRAME_MEASURES."
    )
    crop_hashes: Mapped[bytes | None] = mapped_column(
        comment="vision.crop_hashes, 8 bytes per crop; none of a blank frame."
    )
    batch_key: Mapped[str] = mapped_column(ForeignKey("media_batch.batch_key"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class DamagedShard(Base):
    """A shard that was found gone or altered. Its media were announced again."""

    __tablename__ = "damaged_shard"

    shard_key: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    found_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AnnotationRow(Base):
    """A person's word on what a file or a prediction shows. Never changed.

    The newest one counts that no other row takes back: read annotations by `labels.stands`. The
    payload is in the form of a task, which alone parses it.
    """

    __tablename__ = "annotation"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(media_id, prediction_id) = 1", name="ck_annotation_one_target"
        ),
        CheckConstraint(
            "(payload IS NULL) = (retracts IS NOT NULL)", name="ck_annotation_says_or_takes_back"
        ),
        CheckConstraint("start_s >= 0 AND end_s > start_s", name="ck_annotation_span"),
        CheckConstraint("num_nulls(start_s, end_s) <> 1", name="ck_annotation_whole_span"),
        Index(
            "uq_annotation_retracts",
            "retracts",
            unique=True,
            postgresql_where=text("retracts IS NOT NULL"),
        ),
    )

    annotation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    media_id: Mapped[UUID | None] = mapped_column(ForeignKey("media.media_id"), index=True)
    # No foreign key: an annotation may arrive before its prediction has come through the queue.
    prediction_id: Mapped[UUID | None] = mapped_column(index=True)
    start_s: Mapped[float | None] = mapped_column(
        comment="Of the part of a video that it is about; none of the whole file."
    )
    end_s: Mapped[float | None] = mapped_column(comment="Exclusive.")
    model_name: Mapped[str | None] = mapped_column(
        comment="The model that it is for; none: each that looks at the file."
    )
    payload: Mapped[dict[str, Any] | None] = mapped_column(
        comment="In the form of a task; none of a row that takes another back."
    )
    origin: Mapped[str] = mapped_column(comment="Who said so, e.g. 'upload' or 'feedback'.")
    author: Mapped[str | None] = mapped_column(comment="Name of the API key.")
    trust: Mapped[float] = mapped_column(
        server_default=text("1"), comment="How far it is trusted, 0..1; a person's word is 1."
    )
    retracts: Mapped[int | None] = mapped_column(
        ForeignKey("annotation.annotation_id"), comment="The annotation that this row takes back."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class EarlyLabel(Base):
    """A label of a prediction that was not in the catalog yet. Deleted some time after it came."""

    __tablename__ = "early_label"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.annotation_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    author: Mapped[str] = mapped_column(index=True, comment="Name of the API key.")


class Snapshot(Base):
    """An immutable dataset of a model: its id is a hash of members, labels, spec and split."""

    __tablename__ = "snapshot"
    __table_args__ = (Index("ix_snapshot_model_name_watermark", "model_name", "watermark"),)

    snapshot_id: Mapped[str] = mapped_column(primary_key=True)
    model_name: Mapped[str]
    watermark: Mapped[datetime] = mapped_column(comment="Labels and frames up to here are in it.")
    spec_id: Mapped[str]
    spec: Mapped[dict[str, Any]] = mapped_column(comment="A contracts.PreprocessingSpec.")
    classes: Mapped[list[str]]
    train_frames: Mapped[int]
    holdout_frames: Mapped[int]
    left_out_frames: Mapped[int] = mapped_column(
        server_default=text("0"), comment="Labelled, of classes with too few to be judged."
    )
    object_prefix: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    place: Mapped[int | None] = mapped_column(
        comment="Its number among the model's snapshots in snapshot_media; none before it is there."
    )


class TopicPosition(Base):
    """Up to where a topic partition has been taken into the catalog; `topic` names its log."""

    __tablename__ = "topic_position"

    topic: Mapped[str] = mapped_column(primary_key=True)
    topic_partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int]


class LogCut(Base):
    """A log of a topic partition that lost messages before they were read, or was replaced."""

    __tablename__ = "log_cut"

    cut_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    topic: Mapped[str]
    topic_partition: Mapped[int]
    log: Mapped[str]
    first_offset: Mapped[int]
    end_offset: Mapped[int | None] = mapped_column(
        comment="Exclusive; None of one that was replaced."
    )
    is_replaced: Mapped[bool]
    noticed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PredictionRow(Base):
    """One prediction of the served pipeline, as taken from the queue."""

    __tablename__ = "prediction"
    __table_args__ = (
        UniqueConstraint("topic", "topic_partition", "topic_offset"),
        Index(
            "ix_prediction_of_version",
            *("model_name", "model_version", "predicted_at", "prediction_id"),
        ),
    )

    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str]
    topic_partition: Mapped[int]
    topic_offset: Mapped[int]
    predicted_at: Mapped[datetime] = mapped_column(index=True)
    model_name: Mapped[str]
    model_version: Mapped[int]
    snapshot_id: Mapped[str]
    role: Mapped[str] = mapped_column(
        server_default="champion", comment="A contracts.Role; a shadow answered no client."
    )
    label: Mapped[str] = mapped_column(comment="The answer as one text.")
    answer: Mapped[dict[str, Any] | None] = mapped_column(
        comment="The answer in the form of its task; none in rows of versions before."
    )
    probabilities: Mapped[list[float]]
    embedding: Mapped[list[float]]
    image_sha256: Mapped[str] = mapped_column(index=True)
    latency_ms: Mapped[float]
    quality: Mapped[list[float]] = mapped_column(
        server_default="[]", comment="vision.monitoring.quality.QUALITY_MEASURES of the frame."
    )
    image_key: Mapped[str | None] = mapped_column(comment="Object key, of an image that was kept.")
