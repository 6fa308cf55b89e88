"""Name the model of each snapshot: an installation may have several."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

FILL = """
UPDATE snapshot SET model_name = coalesce(
    (SELECT model_name FROM verdict
     WHERE verdict.verdict ->> 'snapshot_id' = snapshot.snapshot_id
     ORDER BY verdict_id DESC LIMIT 1),
    (SELECT model_name FROM release ORDER BY release_id DESC LIMIT 1),
    (SELECT model_name FROM verdict ORDER BY verdict_id DESC LIMIT 1),
    'classifier'
)
"""
"""The model that the gate judged by it, or the only one that there was."""


def upgrade() -> None:
    """Add the column, and fill it for the snapshots that are there."""
    op.add_column("snapshot", sa.Column("model_name", sa.String(), nullable=True))
    op.execute(FILL)
    op.alter_column("snapshot", "model_name", nullable=False)
    op.create_index("ix_snapshot_model_name_watermark", "snapshot", ["model_name", "watermark"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_snapshot_model_name_watermark")
    op.drop_column("snapshot", "model_name")
