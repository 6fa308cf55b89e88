"""Keep the content hash of each frame, by which a part of a shard is checked.

Frames that are there have none: their shards are read whole, and checked by their names.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty."""
    comment = "vision.shards.digest_of its bytes; none of a frame of versions before."
    op.add_column("frame", sa.Column("content_hash", sa.String(), comment=comment))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("frame", "content_hash")
