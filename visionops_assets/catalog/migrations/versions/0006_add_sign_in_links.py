"""Add one-time links, by which a browser signs in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "sign_in_link",
        sa.Column("secret_sha256", sa.String, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.text("now()")),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.Column("key_prefix", sa.String, comment="Of the key that it was exchanged for."),
        sa.PrimaryKeyConstraint("secret_sha256", name="pk_sign_in_link"),
    )


def downgrade() -> None:
    """Drop it: links that were not used yet sign nobody in."""
    op.drop_table("sign_in_link")
