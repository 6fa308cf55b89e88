"""Make labels annotations: of a model, of a part of a video, in the form of a task.

The table is renamed, so that no row is copied and none can be lost. Replicas of the version before
may run beside this one during an upgrade: for them a view `label` stays for one version. They read
and add labels of one class by it, and see no others.

The answers of predictions before are not written anew: that table is the largest, and `label` and
`probabilities` say all of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CONSTRAINTS = {
    "pk_label": "pk_annotation",
    "fk_label_media_id": "fk_annotation_media_id",
    "fk_label_retracts_label": "fk_annotation_retracts",
}
INDEXES = ("media_id", "prediction_id", "retracts", "labelled_at")

COMMENTS = (
    ("annotation", "payload", "In the form of a task; none of a row that takes another back."),
    ("annotation", "retracts", "The annotation that this row takes back."),
    ("prediction", "label", "The answer as one text."),
)
COMMENTS_BEFORE = (
    ("annotation", "payload", None),
    ("annotation", "retracts", "The label that this row takes back."),
    ("prediction", "label", None),
)

PAYLOADS = """
ALTER TABLE annotation ALTER COLUMN payload TYPE jsonb
USING CASE WHEN retracts IS NULL THEN jsonb_build_object('label', payload) END
"""
"""Rows that take labels back repeated them; now they say nothing."""

OF_PREDICTIONS = """
UPDATE annotation SET model_name = prediction.model_name
FROM prediction WHERE prediction.prediction_id = annotation.prediction_id
"""
OF_ADOPTED = """
UPDATE annotation SET model_name = adopted.model_name
FROM (
    SELECT DISTINCT ON (given.media_id, given.annotation_id)
        given.annotation_id, prediction.model_name
    FROM annotation AS given
    JOIN adopted_label USING (media_id)
    JOIN annotation AS source ON source.annotation_id = adopted_label.label_id
    JOIN prediction ON prediction.prediction_id = source.prediction_id
    WHERE given.origin = 'feedback' AND source.payload = given.payload
    ORDER BY given.media_id, given.annotation_id, source.annotation_id DESC
) AS adopted
WHERE adopted.annotation_id = annotation.annotation_id
"""
"""A label of a prediction that became a media file is about the model that answered."""
TAKING_BACK = """
UPDATE annotation SET model_name = taken.model_name
FROM annotation AS taken WHERE taken.annotation_id = annotation.retracts
"""
VIEW = """
CREATE VIEW label AS
SELECT annotation_id AS label_id, media_id, prediction_id,
    coalesce(payload ->> 'label', '')::varchar AS label,
    origin, author, retracts, created_at AS labelled_at
FROM annotation
WHERE start_s IS NULL AND (payload IS NULL OR payload ? 'label')
"""
FUNCTION = """
CREATE FUNCTION add_label() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO annotation (media_id, prediction_id, payload, origin, author, retracts)
    VALUES (
        NEW.media_id, NEW.prediction_id,
        CASE WHEN NEW.retracts IS NULL THEN jsonb_build_object('label', NEW.label) END,
        NEW.origin, NEW.author, NEW.retracts
    )
    RETURNING annotation_id, created_at INTO NEW.label_id, NEW.labelled_at;
    RETURN NEW;
END
$$
"""
TRIGGER = """
CREATE TRIGGER add_label INSTEAD OF INSERT ON label FOR EACH ROW EXECUTE FUNCTION add_label()
"""


def upgrade() -> None:
    """Rename the table, and carry over what is in it: old labels have one class."""
    op.rename_table("label", "annotation")
    op.alter_column("annotation", "label_id", new_column_name="annotation_id")
    op.alter_column("annotation", "label", new_column_name="payload", nullable=True)
    op.alter_column("annotation", "labelled_at", new_column_name="created_at")
    op.execute(PAYLOADS)
    _rename()
    _add_columns()
    for statement in (OF_PREDICTIONS, OF_ADOPTED, TAKING_BACK):
        op.execute(statement)
    _add_checks()
    for statement in (VIEW, FUNCTION, TRIGGER):
        op.execute(statement)


def _rename() -> None:
    for old, new in CONSTRAINTS.items():
        op.execute(f"ALTER TABLE annotation RENAME CONSTRAINT {old} TO {new}")
    for column in INDEXES:
        kind = "uq" if column == "retracts" else "ix"
        new = "created_at" if column == "labelled_at" else column
        op.execute(f"ALTER INDEX {kind}_label_{column} RENAME TO {kind}_annotation_{new}")
    op.execute("ALTER SEQUENCE label_label_id_seq RENAME TO annotation_annotation_id_seq")


def _add_columns() -> None:
    for column in (
        sa.Column(
            "start_s",
            sa.Float,
            comment="Of the part of a video that it is about; none of the whole file.",
        ),
        sa.Column("end_s", sa.Float, comment="Exclusive."),
        sa.Column(
            "model_name",
            sa.String,
            comment="The model that it is for; none: each that looks at the file.",
        ),
        sa.Column(
            "trust",
            sa.Float,
            nullable=False,
            server_default=sa.text("1"),
            comment="How far it is trusted, 0..1; a person's word is 1.",
        ),
    ):
        op.add_column("annotation", column)
    answer = sa.Column(
        "answer",
        sa.dialects.postgresql.JSONB,
        comment="The answer in the form of its task; none in rows of versions before.",
    )
    op.add_column("prediction", answer)
    for table, name, comment in COMMENTS:
        op.alter_column(table, name, comment=comment)


def _add_checks() -> None:
    for name, rule in {
        "one_target": "num_nonnulls(media_id, prediction_id) = 1",
        "says_or_takes_back": "(payload IS NULL) = (retracts IS NOT NULL)",
        "span": "start_s >= 0 AND end_s > start_s",
        "whole_span": "num_nulls(start_s, end_s) <> 1",
    }.items():
        op.create_check_constraint(f"ck_annotation_{name}", "annotation", rule)


def downgrade() -> None:
    """Take the names of before; what is no label of one class of a whole file is dropped."""
    op.execute("DROP VIEW label")
    op.execute("DROP FUNCTION add_label")
    for name in ("one_target", "says_or_takes_back", "span", "whole_span"):
        op.drop_constraint(f"ck_annotation_{name}", "annotation")
    op.execute(
        "DELETE FROM annotation AS given USING annotation AS said"
        " WHERE said.annotation_id = coalesce(given.retracts, given.annotation_id)"
        " AND (said.start_s IS NOT NULL OR NOT said.payload ? 'label')"
    )
    op.execute(
        "ALTER TABLE annotation ALTER COLUMN payload TYPE varchar"
        " USING coalesce(payload ->> 'label', '')"
    )
    for table, name, comment in COMMENTS_BEFORE:
        op.alter_column(table, name, comment=comment)
    op.alter_column("annotation", "payload", new_column_name="label", nullable=False)
    op.alter_column("annotation", "annotation_id", new_column_name="label_id")
    op.alter_column("annotation", "created_at", new_column_name="labelled_at")
    for column in ("start_s", "end_s", "model_name", "trust"):
        op.drop_column("annotation", column)
    op.drop_column("prediction", "answer")
    for old, new in CONSTRAINTS.items():
        op.execute(f"ALTER TABLE annotation RENAME CONSTRAINT {new} TO {old}")
    for column in INDEXES:
        kind = "uq" if column == "retracts" else "ix"
        new = "created_at" if column == "labelled_at" else column
        op.execute(f"ALTER INDEX {kind}_annotation_{new} RENAME TO {kind}_label_{column}")
    op.execute("ALTER SEQUENCE annotation_annotation_id_seq RENAME TO label_label_id_seq")
    op.rename_table("annotation", "label")
