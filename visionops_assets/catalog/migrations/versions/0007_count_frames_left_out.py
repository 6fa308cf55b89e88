"""Count the labelled frames that a snapshot left out, so that they are not new for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count; snapshots of before say none, and the next one makes up for it."""
    op.add_column(
        "snapshot",
        sa.Column(
            "left_out_frames",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("0"),
            comment="Labelled, of classes with too few to be judged.",
        ),
    )


def downgrade() -> None:
    """Drop the count."""
    op.drop_column("snapshot", "left_out_frames")
