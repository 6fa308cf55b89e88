"""Give each part of a resumable upload a row of its own, so that no row grows with the parts."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The sizes of single parts were not kept, only where the last one ends. Where the others begin
# does not matter but for their order, so they count on from 0; there is a byte in each at least.
CARRY_OVER = """
INSERT INTO resumable_part (upload_id, start_offset, end_offset, object_key)
SELECT upload_id, part.number - 1,
    CASE WHEN part.number = jsonb_array_length(part_keys) THEN offset_bytes ELSE part.number END,
    part.object_key
FROM resumable_upload,
    jsonb_array_elements_text(part_keys) WITH ORDINALITY AS part (object_key, number)
WHERE receipt IS NULL
"""


def upgrade() -> None:
    """Add the table and carry over the parts of open uploads."""
    op.create_table(
        "resumable_part",
        sa.Column("upload_id", sa.Uuid, nullable=False),
        sa.Column("start_offset", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False, comment="Exclusive."),
        sa.Column("object_key", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "start_offset", name="pk_resumable_part"),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["resumable_upload.upload_id"],
            name="fk_resumable_part_upload_id_resumable_upload",
            ondelete="CASCADE",
        ),
    )
    op.execute(CARRY_OVER)
    op.alter_column("resumable_upload", "offset_bytes", server_default=sa.text("0"))
    op.alter_column("resumable_upload", "part_keys", server_default=sa.text("'[]'"))
    op.create_index(
        "ix_resumable_upload_open",
        "resumable_upload",
        ["owner"],
        postgresql_where=sa.text("receipt IS NULL"),
    )


def downgrade() -> None:
    """Drop the table: open uploads begin again."""
    op.drop_index("ix_resumable_upload_open", "resumable_upload")
    op.alter_column("resumable_upload", "part_keys", server_default=None)
    op.alter_column("resumable_upload", "offset_bytes", server_default=None)
    op.drop_table("resumable_part")
