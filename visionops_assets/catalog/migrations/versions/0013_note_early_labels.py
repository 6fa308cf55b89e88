"""Note the labels whose predictions have not come yet, so that their number can be bounded."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. Labels of before are not counted."""
    op.create_table(
        "early_label",
        sa.Column("label_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("author", sa.String, nullable=False, comment="Name of the API key."),
        sa.PrimaryKeyConstraint("label_id", name="pk_early_label"),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["label.label_id"],
            name="fk_early_label_label_id_label",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_early_label_author", "early_label", ["author"])


def downgrade() -> None:
    """Drop it: any number of labels is taken."""
    op.drop_table("early_label")
