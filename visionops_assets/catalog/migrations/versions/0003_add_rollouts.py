"""Add what serving needs: the audit of releases, rollouts and their evidence, sampled images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
TIME = sa.DateTime(timezone=True)
APPEND_ONLY = ("verdict", "release", "release_event")


def upgrade() -> None:
    """Add the columns and tables, and let the database refuse changes of what is final."""
    op.add_column(
        "prediction",
        sa.Column(
            "role",
            sa.String,
            nullable=False,
            server_default="champion",
            comment="A contracts.Role; a shadow answered no client.",
        ),
    )
    op.add_column(
        "prediction", sa.Column("image_key", sa.String, comment="Object key, of a sampled image.")
    )
    op.alter_column(
        "release", "dagster_run_id", nullable=True, comment="None if no Dagster run did it."
    )
    _create_audit()
    _create_rollouts()
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Drop them, and what they hold."""
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP FUNCTION refuse_change")
    for table in ("rollout_evidence", "rollout", "release_event"):
        op.drop_table(table)
    op.drop_column("prediction", "image_key")
    op.drop_column("prediction", "role")
    op.execute("UPDATE release SET dagster_run_id = '' WHERE dagster_run_id IS NULL")
    op.alter_column("release", "dagster_run_id", nullable=False, comment=None)


def _create_audit() -> None:
    op.create_table(
        "release_event",
        sa.Column("event_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column(
            "action",
            sa.String,
            nullable=False,
            comment="promoted, rolled_back, refused, failed, canary_started, shadow_started, "
            "rollout_promoted, rollout_ended.",
        ),
        sa.Column(
            "actor", sa.String, nullable=False, comment="Who: a user, a Dagster run, a rule."
        ),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column(
            "verdict",
            JSONB,
            comment="What it was decided by: the gate's verdict, or a rollout's evidence.",
        ),
        sa.Column("happened_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("event_id", name="pk_release_event"),
    )
    op.create_index("ix_release_event_model_name", "release_event", ["model_name"])
    op.create_index("ix_release_event_happened_at", "release_event", ["happened_at"])


def _create_rollouts() -> None:
    op.create_table(
        "rollout",
        sa.Column("rollout_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("champion_version", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String, nullable=False, comment="A contracts.Role: canary or shadow."),
        sa.Column("share_percent", sa.Double, nullable=False),
        sa.Column("started_at", TIME, nullable=False, server_default=NOW),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("rollout_id", name="pk_rollout"),
    )
    op.create_index(
        "uq_rollout_active",
        "rollout",
        ["model_name"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "rollout_evidence",
        sa.Column("rollout_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("replica", sa.String, nullable=False, comment="A gateway process."),
        sa.Column("arm", sa.String, nullable=False, comment="A contracts.Arm."),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column(
            "errors",
            sa.BigInteger,
            nullable=False,
            comment="That were the server's fault, not the image's.",
        ),
        sa.Column(
            "latency_counts",
            JSONB,
            nullable=False,
            comment="Answers by bucket of catalog.rollouts.LATENCY_BOUNDS_MS, and above the last.",
        ),
        sa.Column(
            "compared", sa.BigInteger, nullable=False, comment="Images that both arms answered."
        ),
        sa.Column("agreed", sa.BigInteger, nullable=False, comment="With the same label."),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["rollout.rollout_id"], name="fk_rollout_evidence_rollout_id"
        ),
        sa.PrimaryKeyConstraint("rollout_id", "replica", "arm", name="pk_rollout_evidence"),
    )
