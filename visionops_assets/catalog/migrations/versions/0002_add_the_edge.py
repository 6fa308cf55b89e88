"""Add what the edge needs: keys, cameras, resumable uploads, repeated requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns and tables."""
    _extend_media()
    _create_uploads()
    _create_clients()


def downgrade() -> None:
    """Drop them, and what they hold."""
    for table in ("camera", "api_key", "resumable_upload", "acknowledgement"):
        op.drop_table(table)
    for column in ("uploaded_by", "name_mismatch", "announcement"):
        op.drop_column("media", column)


def _extend_media() -> None:
    columns = (
        sa.Column(
            "announcement",
            sa.BigInteger,
            nullable=False,
            server_default="1",
            comment="How often it was to be processed; makes the event's id.",
        ),
        sa.Column(
            "name_mismatch",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="The file name claims another type than the content has.",
        ),
        sa.Column("uploaded_by", sa.String, comment="Name of the API key."),
    )
    for column in columns:
        op.add_column("media", column)


def _create_uploads() -> None:
    op.create_table(
        "acknowledgement",
        sa.Column("owner", sa.String, nullable=False, comment="Name of the API key."),
        sa.Column("idempotency_key", sa.String, nullable=False),
        sa.Column(
            "fingerprint", sa.String, nullable=False, comment="SHA-256 of what the request said."
        ),
        sa.Column("answer", JSONB, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("owner", "idempotency_key", name="pk_acknowledgement"),
    )
    op.create_index("ix_acknowledgement_created_at", "acknowledgement", ["created_at"])
    op.create_table(
        "resumable_upload",
        sa.Column("upload_id", sa.Uuid, nullable=False),
        sa.Column("owner", sa.String, nullable=False, comment="Name of the API key."),
        sa.Column("total_bytes", sa.BigInteger, nullable=False),
        sa.Column(
            "offset_bytes",
            sa.BigInteger,
            nullable=False,
            comment="So many are stored; total when complete.",
        ),
        sa.Column(
            "part_keys", JSONB, nullable=False, comment="Object keys, in the order of the bytes."
        ),
        sa.Column("description", JSONB, nullable=False, comment="What the client says of it."),
        sa.Column("receipt", JSONB, comment="The answer, once complete."),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("upload_id", name="pk_resumable_upload"),
    )
    op.create_index("ix_resumable_upload_expires_at", "resumable_upload", ["expires_at"])


def _create_clients() -> None:
    op.create_table(
        "api_key",
        sa.Column("prefix", sa.String, nullable=False, comment="Public: shown and logged."),
        sa.Column(
            "name", sa.String, nullable=False, comment="Whose it is; the same after rotation."
        ),
        sa.Column("secret_sha256", sa.String, nullable=False),
        sa.Column("scopes", JSONB, nullable=False),
        sa.Column("rate_limit", sa.String),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("prefix", name="pk_api_key"),
    )
    op.create_index("ix_api_key_name", "api_key", ["name"])
    op.create_table(
        "camera",
        sa.Column("name", sa.String, nullable=False),
        sa.Column(
            "url", sa.String, nullable=False, comment="May hold a password: never shown whole."
        ),
        sa.Column("settings", JSONB, nullable=False, comment="How it is cut."),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("name", name="pk_camera"),
    )
