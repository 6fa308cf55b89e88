"""Add the state of a verdict: passed, refused or undecided."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COMMENT = "A contracts.GateState. None in rows of programs from before it."


def upgrade() -> None:
    """Add the column, and fill it: what did not pass was refused. Nullable for older programs."""
    op.add_column("verdict", sa.Column("state", sa.String, comment=COMMENT))
    # The table refuses changes to everybody, this one too.
    op.execute("ALTER TABLE verdict DISABLE TRIGGER append_only")
    # After a downgrade the record still says what was undecided.
    op.execute(
        "UPDATE verdict SET state = coalesce(verdict->>'state', "
        "CASE WHEN passed THEN 'passed' ELSE 'refused' END)"
    )
    op.execute("ALTER TABLE verdict ENABLE TRIGGER append_only")


def downgrade() -> None:
    """Drop it. What was undecided counts as refused again."""
    op.drop_column("verdict", "state")
