"""Note logs of the queue that were cut or replaced."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "log_cut",
        sa.Column("cut_id", sa.BigInteger, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("topic_partition", sa.BigInteger, nullable=False),
        sa.Column("log", sa.String, nullable=False),
        sa.Column("first_offset", sa.BigInteger, nullable=False),
        sa.Column("end_offset", sa.BigInteger, comment="Exclusive; None of one that was replaced."),
        sa.Column("is_replaced", sa.Boolean, nullable=False),
        sa.Column(
            "noticed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.PrimaryKeyConstraint("cut_id", name="pk_log_cut"),
    )


def downgrade() -> None:
    """Drop it. An older version would take messages of a replaced log for known ones."""
    op.drop_table("log_cut")
