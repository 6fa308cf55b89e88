"""Note objects that are to be erased, and versions that learned from what was forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "erased_object",
        sa.Column("object_key", sa.String(), nullable=False),
        sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("object_key", name="pk_erased_object"),
    )
    op.add_column(
        "trained_version",
        sa.Column(
            "trained_on_forgotten",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="Its snapshot had media that were erased since.",
        ),
    )


def downgrade() -> None:
    """Drop them. What is forgotten stays so, as files that were given up."""
    op.drop_column("trained_version", "trained_on_forgotten")
    op.drop_table("erased_object")
    op.execute("UPDATE media SET status = 'quarantined' WHERE status = 'forgotten'")
