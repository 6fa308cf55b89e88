"""Create the catalog."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
TIME = sa.DateTime(timezone=True)
# A text column, so that a new member of the enum needs no migration.
TEXT_OF_ENUM = sa.String(32)


def upgrade() -> None:
    """Create every table; parents before the tables that refer to them."""
    _create_media()
    _create_queue()
    _create_frames()
    _create_models()
    _create_predictions()


def downgrade() -> None:
    """Drop every table, and all that the catalog knows."""
    tables = (
        "performance_window",
        "prediction",
        "topic_position",
        "release",
        "verdict",
        "snapshot",
        "label",
        "frame",
        "consumed_event",
        "media_batch",
        "outbox",
        "media",
    )
    for table in tables:
        op.drop_table(table)


def _create_media() -> None:
    """Create uploads, and the events they owe to the queue."""
    op.create_table(
        "media",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("status", TEXT_OF_ENUM, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column(
            "filename", sa.String(), nullable=True, comment="As the client said; display only."
        ),
        sa.Column("object_key", sa.String(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False, comment="Fences a stale writer."),
        sa.Column("lease_expires_at", TIME, nullable=False),
        sa.Column("captured_at", TIME, nullable=False),
        sa.Column("received_at", TIME, server_default=NOW, nullable=False),
        sa.Column("stored_at", TIME, nullable=True),
        sa.Column("processed_at", TIME, nullable=True),
        sa.Column("kind", TEXT_OF_ENUM, nullable=True),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("reason_code", sa.String(), nullable=True, comment="Why it is quarantined."),
        sa.Column("reason_detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("media_id", name="pk_media"),
        sa.UniqueConstraint("object_key", name="uq_media_object_key"),
    )
    op.create_index("ix_media_status_lease_expires_at", "media", ["status", "lease_expires_at"])
    op.create_index(
        "uq_media_source_sha256",
        "media",
        ["source", "sha256"],
        unique=True,
        postgresql_where=sa.text("status <> 'receiving'"),
    )
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("message_key", sa.String(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("published_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("outbox_id", name="pk_outbox"),
        sa.UniqueConstraint("event_id", name="uq_outbox_event_id"),
    )
    op.create_index(
        "ix_outbox_unpublished",
        "outbox",
        ["outbox_id"],
        postgresql_where=sa.text("published_at IS NULL"),
    )


def _create_queue() -> None:
    """Create what was taken from the queue."""
    op.create_table(
        "media_batch",
        sa.Column("batch_key", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_partition", sa.BigInteger(), nullable=False),
        sa.Column("start_offset", sa.BigInteger(), nullable=False),
        sa.Column("end_offset", sa.BigInteger(), nullable=False, comment="Exclusive."),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("processed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("batch_key", name="pk_media_batch"),
    )
    op.create_table(
        "consumed_event",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_partition", sa.BigInteger(), nullable=False),
        sa.Column("topic_offset", sa.BigInteger(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("batch_key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["media_batch.batch_key"], name="fk_consumed_event_batch_key"
        ),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.media_id"], name="fk_consumed_event_media_id"
        ),
        sa.PrimaryKeyConstraint("event_id", name="pk_consumed_event"),
        sa.UniqueConstraint(
            "topic",
            "topic_partition",
            "topic_offset",
            name="uq_consumed_event_topic_topic_partition_topic_offset",
        ),
    )
    op.create_index("ix_consumed_event_batch_key", "consumed_event", ["batch_key"])
    op.create_index("ix_consumed_event_media_id", "consumed_event", ["media_id"])


def _create_frames() -> None:
    """Create what media became, and what people said they show."""
    op.create_table(
        "frame",
        sa.Column("frame_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("spec_id", sa.String(), nullable=False),
        sa.Column("frame_index", sa.BigInteger(), nullable=False),
        sa.Column(
            "time_s",
            sa.Double(),
            nullable=False,
            comment="From the start of the video; 0 in an image.",
        ),
        sa.Column(
            "perceptual_hash",
            sa.String(),
            nullable=False,
            comment="64-bit difference hash, 16 hex digits.",
        ),
        sa.Column("shard_key", sa.String(), nullable=False),
        sa.Column(
            "shard_offset", sa.BigInteger(), nullable=False, comment="Of the PNG's first byte."
        ),
        sa.Column("frame_bytes", sa.BigInteger(), nullable=False),
        sa.Column("batch_key", sa.String(), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["media_batch.batch_key"], name="fk_frame_batch_key"
        ),
        sa.ForeignKeyConstraint(["media_id"], ["media.media_id"], name="fk_frame_media_id"),
        sa.PrimaryKeyConstraint("frame_id", name="pk_frame"),
        sa.UniqueConstraint(
            "media_id", "spec_id", "frame_index", name="uq_frame_media_id_spec_id_frame_index"
        ),
    )
    op.create_index("ix_frame_batch_key", "frame", ["batch_key"])
    op.create_index("ix_frame_created_at", "frame", ["created_at"])
    op.create_table(
        "label",
        sa.Column("label_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=True),
        sa.Column("prediction_id", sa.Uuid(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column(
            "origin",
            sa.String(),
            nullable=False,
            comment="Who said so, e.g. 'upload' or 'feedback'.",
        ),
        sa.Column("labelled_at", TIME, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.media_id"], name="fk_label_media_id"),
        sa.PrimaryKeyConstraint("label_id", name="pk_label"),
    )
    op.create_index("ix_label_labelled_at", "label", ["labelled_at"])
    op.create_index("ix_label_media_id", "label", ["media_id"])
    op.create_index("ix_label_prediction_id", "label", ["prediction_id"])


def _create_models() -> None:
    """Create datasets, and what was decided about models made of them."""
    op.create_table(
        "snapshot",
        sa.Column("snapshot_id", sa.String(), nullable=False),
        sa.Column(
            "watermark", TIME, nullable=False, comment="Labels and frames up to here are in it."
        ),
        sa.Column("spec_id", sa.String(), nullable=False),
        sa.Column("spec", JSONB(), nullable=False, comment="A contracts.PreprocessingSpec."),
        sa.Column("classes", JSONB(), nullable=False),
        sa.Column("train_frames", sa.BigInteger(), nullable=False),
        sa.Column("holdout_frames", sa.BigInteger(), nullable=False),
        sa.Column("object_prefix", sa.String(), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name="pk_snapshot"),
    )
    op.create_table(
        "verdict",
        sa.Column("verdict_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("verdict", JSONB(), nullable=False, comment="A contracts.GateVerdict."),
        sa.Column("dagster_run_id", sa.String(), nullable=False),
        sa.Column("decided_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdict"),
    )
    op.create_table(
        "release",
        sa.Column("release_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), nullable=False),
        sa.Column("previous_version", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_id", sa.String(), nullable=False),
        sa.Column("manifest_sha256", sa.String(), nullable=False),
        sa.Column("dagster_run_id", sa.String(), nullable=False),
        sa.Column("released_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("release_id", name="pk_release"),
    )
    op.create_index("ix_release_model_name", "release", ["model_name"])


def _create_predictions() -> None:
    """Create what the served model answered, and how well."""
    op.create_table(
        "topic_position",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "topic_partition", name="pk_topic_position"),
    )
    op.create_table(
        "prediction",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_partition", sa.BigInteger(), nullable=False),
        sa.Column("topic_offset", sa.BigInteger(), nullable=False),
        sa.Column("predicted_at", TIME, nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("probabilities", JSONB(), nullable=False),
        sa.Column("embedding", JSONB(), nullable=False),
        sa.Column("image_sha256", sa.String(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_prediction"),
        sa.UniqueConstraint(
            "topic",
            "topic_partition",
            "topic_offset",
            name="uq_prediction_topic_topic_partition_topic_offset",
        ),
    )
    op.create_index("ix_prediction_predicted_at", "prediction", ["predicted_at"])
    op.create_table(
        "performance_window",
        sa.Column("window_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), nullable=False),
        sa.Column("predictions", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("correct", sa.BigInteger(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("accuracy_low", sa.Double(), nullable=False),
        sa.Column("accuracy_high", sa.Double(), nullable=False),
        sa.Column("measured_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("window_id", name="pk_performance_window"),
    )
    op.create_index("ix_performance_window_measured_at", "performance_window", ["measured_at"])
