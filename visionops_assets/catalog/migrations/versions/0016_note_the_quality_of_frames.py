"""Note the quality of each frame: brightness, contrast, sharpness, noise, entropy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. It is empty for the frames that are there: nobody measured them."""
    quality = sa.Column(
        "quality",
        postgresql.JSONB,
        nullable=False,
        server_default="[]",
        comment="vision.monitoring.quality.FRAME_MEASURES.",
    )
    op.add_column("frame", quality)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("frame", "quality")
