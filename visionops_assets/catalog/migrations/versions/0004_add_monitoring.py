"""Add what monitoring needs: scores, drift, health, decisions, labelling batches, alerts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
TIME = sa.DateTime(timezone=True)
WINDOW = "performance_window"
SCORES = (
    "Precision, recall, F1 and accuracy by class and slice: rows of slice, measure, class, value, "
    "low, high, support."
)
NEW_TABLES = (
    "alert",
    "adopted_label",
    "labelling_item",
    "labelling_batch",
    "decision",
    "health_window",
    "drift_window",
)


def upgrade() -> None:
    """Add the columns and tables; decisions are final, as verdicts and releases are."""
    op.add_column(
        "prediction",
        sa.Column(
            "quality",
            JSONB,
            nullable=False,
            server_default="[]",
            comment="vision.monitoring.quality.QUALITY_MEASURES of the frame.",
        ),
    )
    op.alter_column("prediction", "image_key", comment="Object key, of an image that was kept.")
    op.add_column(
        "rollout",
        sa.Column("min_agreement", sa.Double, comment="None: as the rule says."),
    )
    _extend_performance()
    _create_windows()
    _create_decisions()
    _create_labels_and_alerts()
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON decision "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    """Drop them, and what they hold."""
    for table in NEW_TABLES:
        op.drop_table(table)
    op.execute("DELETE FROM performance_window WHERE accuracy IS NULL")
    for column in ("accuracy", "accuracy_low", "accuracy_high"):
        op.alter_column(WINDOW, column, nullable=False, comment=None)
    for column in ("estimated_accuracy", "estimated_low", "estimated_high", "label_lag_s"):
        op.drop_column(WINDOW, column)
    op.drop_column(WINDOW, "scores")
    op.drop_column("rollout", "min_agreement")
    op.alter_column("prediction", "image_key", comment="Object key, of a sampled image.")
    op.drop_column("prediction", "quality")


def _extend_performance() -> None:
    op.alter_column(WINDOW, "accuracy", nullable=True, comment="None without labels.")
    for column in ("accuracy_low", "accuracy_high"):
        op.alter_column(WINDOW, column, nullable=True)
    op.add_column(
        WINDOW,
        sa.Column(
            "estimated_accuracy",
            sa.Double,
            comment="By confidence (CBPE), over all predictions of the window.",
        ),
    )
    op.add_column(WINDOW, sa.Column("estimated_low", sa.Double))
    op.add_column(WINDOW, sa.Column("estimated_high", sa.Double))
    op.add_column(
        WINDOW,
        sa.Column("label_lag_s", sa.Double, comment="Median time from a prediction to its label."),
    )
    op.add_column(
        WINDOW, sa.Column("scores", JSONB, nullable=False, server_default="[]", comment=SCORES)
    )


def _create_windows() -> None:
    op.create_table(
        "drift_window",
        sa.Column("window_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("predictions", sa.BigInteger, nullable=False),
        sa.Column("reference_frames", sa.BigInteger, nullable=False),
        sa.Column(
            "results",
            JSONB,
            nullable=False,
            comment="Rows of kind, statistic, p_value, p_adjusted, drifted.",
        ),
        sa.Column("drifted", sa.Boolean, nullable=False, comment="Whether any kind did."),
        sa.Column("measured_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("window_id", name="pk_drift_window"),
    )
    op.create_index("ix_drift_window_measured_at", "drift_window", ["measured_at"])
    op.create_table(
        "health_window",
        sa.Column("window_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column(
            "measurements", JSONB, nullable=False, comment="Rows of name, labels, value, unit."
        ),
        sa.Column("measured_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("window_id", name="pk_health_window"),
    )
    op.create_index("ix_health_window_measured_at", "health_window", ["measured_at"])


def _create_decisions() -> None:
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column(
            "model_version", sa.BigInteger, nullable=False, comment="The champion it is about."
        ),
        sa.Column("release_id", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String, nullable=False, comment="A contracts.Outcome."),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("evidence", JSONB, nullable=False),
        sa.Column("dagster_run_id", sa.String, nullable=False),
        sa.Column("decided_at", TIME, nullable=False, server_default=NOW),
        sa.ForeignKeyConstraint(
            ["release_id"], ["release.release_id"], name="fk_decision_release_id"
        ),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision"),
    )
    op.create_index("ix_decision_model_name", "decision", ["model_name"])
    op.create_index("ix_decision_decided_at", "decision", ["decided_at"])


def _create_labels_and_alerts() -> None:
    op.create_table(
        "labelling_batch",
        sa.Column("batch_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("decision_id", sa.BigInteger, nullable=False),
        sa.Column("opened_at", TIME, nullable=False, server_default=NOW),
        sa.Column("closed_at", TIME),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decision.decision_id"], name="fk_labelling_batch_decision_id"
        ),
        sa.PrimaryKeyConstraint("batch_id", name="pk_labelling_batch"),
    )
    op.create_index(
        "uq_labelling_batch_open",
        "labelling_batch",
        ["model_name"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "labelling_item",
        sa.Column("batch_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("prediction_id", sa.Uuid, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["labelling_batch.batch_id"], name="fk_labelling_item_batch_id"
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["prediction.prediction_id"], name="fk_labelling_item_prediction_id"
        ),
        sa.PrimaryKeyConstraint("batch_id", "prediction_id", name="pk_labelling_item"),
    )
    op.create_table(
        "adopted_label",
        sa.Column("label_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("media_id", sa.Uuid, nullable=False),
        sa.Column("adopted_at", TIME, nullable=False, server_default=NOW),
        sa.ForeignKeyConstraint(["label_id"], ["label.label_id"], name="fk_adopted_label_label_id"),
        sa.ForeignKeyConstraint(["media_id"], ["media.media_id"], name="fk_adopted_label_media_id"),
        sa.PrimaryKeyConstraint("label_id", name="pk_adopted_label"),
    )
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("annotations", JSONB, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, comment="None while it fires."),
        sa.Column("received_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alert"),
        sa.UniqueConstraint("fingerprint", "starts_at", name="uq_alert_fingerprint_starts_at"),
    )
    op.create_index("ix_alert_received_at", "alert", ["received_at"])
