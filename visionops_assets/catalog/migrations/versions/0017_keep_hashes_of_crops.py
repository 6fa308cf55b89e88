"""Keep the hashes of each frame and of its crops, by which near copies are found."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. It is empty for the frames that are there: they are hashed when asked for."""
    hashes = sa.Column(
        "crop_hashes",
        sa.LargeBinary,
        nullable=True,
        comment="vision.crop_hashes, 8 bytes per crop; none of a blank frame.",
    )
    op.add_column("frame", hashes)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("frame", "crop_hashes")
