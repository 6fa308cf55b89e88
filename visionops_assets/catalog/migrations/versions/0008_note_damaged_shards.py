"""Note the shards that were found damaged."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and find the frames of a shard."""
    op.create_table(
        "damaged_shard",
        sa.Column("shard_key", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column(
            "found_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")
        ),
        sa.PrimaryKeyConstraint("shard_key", name="pk_damaged_shard"),
    )
    op.create_index("ix_frame_shard_key", "frame", ["shard_key"])


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_frame_shard_key", "frame")
    op.drop_table("damaged_shard")
