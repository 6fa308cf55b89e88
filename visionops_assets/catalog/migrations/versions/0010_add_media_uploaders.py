"""Note which keys sent a media file: they alone may read it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ADOPTED = "feedback"
"""In `uploaded_by` of media that were made of predictions: no key sent them."""


def upgrade() -> None:
    """Add the table, and the one uploader that is known of each file."""
    op.create_table(
        "media_uploader",
        sa.Column("media_id", sa.Uuid, nullable=False),
        sa.Column("key_name", sa.String, nullable=False, comment="Name of the API key."),
        sa.PrimaryKeyConstraint("media_id", "key_name", name="pk_media_uploader"),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.media_id"], name="fk_media_uploader_media_id_media"
        ),
    )
    op.execute(
        sa.text(
            "INSERT INTO media_uploader (media_id, key_name) SELECT media_id, uploaded_by"
            " FROM media WHERE status <> 'receiving' AND uploaded_by <> :adopted"
        ).bindparams(adopted=ADOPTED)
    )


def downgrade() -> None:
    """Drop it: any key reads any file again."""
    op.drop_table("media_uploader")
