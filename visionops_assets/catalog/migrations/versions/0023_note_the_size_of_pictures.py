"""Note the size of pictures, and index the last part of files' names.

Sizes are noted when files are processed: those of before have none until they are again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

COMMENT = "Of the upright picture; none of files processed by versions before."


def upgrade() -> None:
    """Add the columns and the index."""
    op.add_column("processing", sa.Column("width_px", sa.BigInteger(), comment=COMMENT))
    op.add_column("processing", sa.Column("height_px", sa.BigInteger()))
    op.create_index("ix_media_last_name", "media", [sa.text("split_part(filename, '/', -1)")])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_media_last_name", "media")
    op.drop_column("processing", "height_px")
    op.drop_column("processing", "width_px")
