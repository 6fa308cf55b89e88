"""Note how each media file was processed: by which spec, in what time, by which decoder."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SPECS = """
INSERT INTO spec (spec_id, parameters, first_used_at)
SELECT DISTINCT ON (spec_id) spec_id, spec, created_at FROM snapshot ORDER BY spec_id, created_at
"""
PROCESSED = """
INSERT INTO processing (media_id, spec_id, status, frames, batch_key, processed_at)
SELECT frame.media_id, frame.spec_id, 'processed', count(*), max(frame.batch_key),
       max(frame.created_at)
FROM frame GROUP BY frame.media_id, frame.spec_id
"""


def upgrade() -> None:
    """Add the tables. Of earlier frames spec and time are noted, and parameters as far as known."""
    now: dict[str, Any] = {
        "type_": sa.DateTime(timezone=True),
        "nullable": False,
        "server_default": sa.func.now(),
    }
    op.create_table(
        "spec",
        sa.Column("spec_id", sa.String, nullable=False),
        sa.Column(
            "parameters",
            postgresql.JSONB(none_as_null=True),
            nullable=False,
            comment="A contracts.PreprocessingSpec.",
        ),
        sa.Column("first_used_at", **now),
        sa.PrimaryKeyConstraint("spec_id", name="pk_spec"),
    )
    op.create_table(
        "processing",
        sa.Column("media_id", sa.Uuid, nullable=False),
        sa.Column("spec_id", sa.String, nullable=False),
        sa.Column("status", sa.String(32), nullable=False, comment="processed or quarantined."),
        sa.Column("reason_code", sa.String),
        sa.Column("reason_detail", sa.String),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("milliseconds", sa.Float, comment="Of decoding, fitting, encoding."),
        sa.Column("decoder", sa.String, comment="Libraries and their versions."),
        sa.Column("batch_key", sa.String, nullable=False),
        sa.Column("processed_at", **now),
        sa.PrimaryKeyConstraint("media_id", "spec_id", name="pk_processing"),
        sa.ForeignKeyConstraint(["media_id"], ["media.media_id"], name="fk_processing_media_id"),
        sa.ForeignKeyConstraint(
            ["batch_key"], ["media_batch.batch_key"], name="fk_processing_batch_key"
        ),
    )
    op.create_index("ix_processing_spec_id", "processing", ["spec_id"])
    op.execute(SPECS)
    op.execute(PROCESSED)


def downgrade() -> None:
    """Drop them; frames stay."""
    op.drop_table("processing")
    op.drop_table("spec")
