"""Say with each label who gave it, and let a row take another one back."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Of old labels nobody is known; none of them is taken back."""
    op.add_column("label", sa.Column("author", sa.String, comment="Name of the API key."))
    op.add_column(
        "label", sa.Column("retracts", sa.BigInteger, comment="The label that this row takes back.")
    )
    op.add_column(
        "performance_window",
        sa.Column(
            "unknown_labels",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("0"),
            comment="Labels that are no class of the version: not in labelled.",
        ),
    )
    op.create_foreign_key("fk_label_retracts_label", "label", "label", ["retracts"], ["label_id"])
    op.create_index(
        "uq_label_retracts",
        "label",
        ["retracts"],
        unique=True,
        postgresql_where=sa.text("retracts IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop them, and with them the rows that take back: those labels count again."""
    op.drop_column("performance_window", "unknown_labels")
    op.execute("DELETE FROM label WHERE retracts IS NOT NULL")
    op.drop_index("uq_label_retracts", "label")
    op.drop_column("label", "retracts")
    op.drop_column("label", "author")
