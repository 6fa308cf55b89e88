"""Give labelling batches a purpose, media beside predictions, and a claim per item.

Batches that are there were drawn for a decision of the arbiter: they are audits. Replicas of the
version before go on opening such.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BATCH_COMMENTS = (
    ("model_version", "That answered the predictions, or chose the files; none without a model."),
    ("decision_id", "That asked; none of others than the arbiter."),
)
CHECKS = {
    "one_subject": "num_nonnulls(media_id, prediction_id) = 1",
    "span": "start_s >= 0 AND end_s > start_s",
    "whole_span": "num_nulls(start_s, end_s) <> 1",
    "whole_claim": "num_nulls(claimed_by, claimed_until) <> 1",
}
SUBJECT = ["batch_id", "prediction_id", "media_id", "start_s", "end_s"]
DELETE_UNREADABLE = (
    "DELETE FROM labelling_item USING labelling_batch AS asking"
    " WHERE asking.batch_id = labelling_item.batch_id AND (prediction_id IS NULL"
    " OR purpose <> 'audit' OR decision_id IS NULL OR model_version IS NULL)",
    "DELETE FROM labelling_batch"
    " WHERE purpose <> 'audit' OR decision_id IS NULL OR model_version IS NULL",
)


def upgrade() -> None:
    """Add the columns: what is there is filled in by defaults."""
    for name, comment in BATCH_COMMENTS:
        op.alter_column("labelling_batch", name, nullable=True, comment=comment)
    purpose = sa.Column(
        "purpose",
        sa.String(),
        server_default=sa.text("'audit'"),
        nullable=False,
        comment="A contracts.Purpose.",
    )
    op.add_column("labelling_batch", purpose)
    _one_open("closed_at IS NULL AND purpose = 'audit'")
    op.drop_constraint("pk_labelling_item", "labelling_item")
    op.execute("ALTER TABLE labelling_item ADD COLUMN item_id BIGSERIAL")
    op.create_primary_key("pk_labelling_item", "labelling_item", ["item_id"])
    op.alter_column("labelling_item", "prediction_id", nullable=True)
    for column in _columns_of_items():
        op.add_column("labelling_item", column)
    op.create_foreign_key(
        "fk_labelling_item_media_id",
        "labelling_item",
        "media",
        ["media_id"],
        ["media_id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_labelling_item_media_id", "labelling_item", ["media_id"])
    op.create_index(
        "uq_labelling_item_subject",
        "labelling_item",
        SUBJECT,
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    for name, condition in CHECKS.items():
        op.create_check_constraint(f"ck_labelling_item_{name}", "labelling_item", condition)


def _columns_of_items() -> list[sa.Column[object]]:
    part = "Of the part of a video that is asked about; none of the whole file."
    return [
        sa.Column("media_id", sa.Uuid()),
        sa.Column("start_s", sa.Double(), comment=part),
        sa.Column("end_s", sa.Double(), comment="Exclusive."),
        sa.Column("claimed_by", sa.String(), comment="Name of the API key that claimed it last."),
        sa.Column(
            "claimed_until",
            sa.DateTime(timezone=True),
            comment="Until then it is offered to nobody else.",
        ),
    ]


def _one_open(condition: str) -> None:
    name, table = "uq_labelling_batch_open", "labelling_batch"
    op.drop_index(name, table)
    where = sa.text(condition)
    op.create_index(name, table, ["model_name"], unique=True, postgresql_where=where)


def downgrade() -> None:
    """Drop them, and the batches that the version before cannot read."""
    for statement in DELETE_UNREADABLE:
        op.execute(statement)
    op.drop_index("uq_labelling_item_subject", "labelling_item")
    op.drop_constraint("pk_labelling_item", "labelling_item")
    op.drop_column("labelling_item", "item_id")
    for name in CHECKS:
        op.drop_constraint(f"ck_labelling_item_{name}", "labelling_item")
    for column in _columns_of_items():
        op.drop_column("labelling_item", column.name)
    op.create_primary_key("pk_labelling_item", "labelling_item", ["batch_id", "prediction_id"])
    _one_open("closed_at IS NULL")
    op.drop_column("labelling_batch", "purpose")
    for name, _ in BATCH_COMMENTS:
        op.alter_column("labelling_batch", name, nullable=False, comment=None)
