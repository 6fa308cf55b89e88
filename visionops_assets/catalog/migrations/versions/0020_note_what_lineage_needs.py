"""Note members of snapshots by runs, and trained versions; index what is traced.

Verdicts and releases name the snapshots of the versions that are there. The members of snapshots
that are there lie in the object store: they are noted when the next snapshot is cut.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_media_sha256", "media", ["sha256"]),
    ("ix_prediction_image_sha256", "prediction", ["image_sha256"]),
    (
        "ix_prediction_of_version",
        "prediction",
        ["model_name", "model_version", "predicted_at", "prediction_id"],
    ),
    ("ix_labelling_item_prediction_id", "labelling_item", ["prediction_id"]),
    ("ix_adopted_label_media_id", "adopted_label", ["media_id"]),
)
FILL = """
INSERT INTO trained_version (model_name, model_version, snapshot_id, registered_at)
SELECT DISTINCT ON (model_name, model_version) * FROM (
    SELECT model_name, model_version, verdict ->> 'snapshot_id' AS snapshot_id, decided_at
    FROM verdict
    UNION ALL SELECT model_name, model_version, snapshot_id, released_at FROM release
) AS known
WHERE snapshot_id IS NOT NULL
ORDER BY model_name, model_version, decided_at
"""


def upgrade() -> None:
    """Make the tables and indexes, and fill in the versions that are known."""
    _add_members()
    op.create_table(
        "trained_version",
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("snapshot_id", sa.String(), nullable=False),
        *(
            sa.Column(name, sa.String(), comment="None of versions before the table.")
            for name in ("mlflow_run_id", "dagster_run_id")
        ),
        sa.Column(
            "registered_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("model_name", "model_version", name="pk_trained_version"),
    )
    op.create_index("ix_trained_version_snapshot_id", "trained_version", ["snapshot_id"])
    op.execute(FILL)
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)


def _add_members() -> None:
    op.create_table(
        "snapshot_media",
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column(
            "from_place",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="A snapshot.place of the model.",
        ),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("to_place", sa.BigInteger(), comment="Exclusive; none while it goes on."),
        sa.Column("spec_id", sa.String(), nullable=False, comment="Of the frames."),
        sa.Column("side", sa.String(), nullable=False, comment="train or holdout."),
        sa.Column(
            "frames",
            postgresql.INT4MULTIRANGE,
            nullable=False,
            comment="Indexes of its frames that are members.",
        ),
        sa.PrimaryKeyConstraint("model_name", "from_place", "media_id", name="pk_snapshot_media"),
    )
    op.create_index("ix_snapshot_media_media_id", "snapshot_media", ["media_id"])
    op.create_index(
        "uq_snapshot_media_open",
        "snapshot_media",
        ["model_name", "media_id"],
        unique=True,
        postgresql_where=sa.text("to_place IS NULL"),
    )
    comment = "Its number among the model's snapshots in snapshot_media; none before it is there."
    op.add_column("snapshot", sa.Column("place", sa.BigInteger(), comment=comment))


def downgrade() -> None:
    """Drop them."""
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
    op.drop_table("trained_version")
    op.drop_column("snapshot", "place")
    op.drop_table("snapshot_media")
