"""Labels: what someone said a media file or a prediction shows, and which of them count.

No row is changed. One that takes another back names it, and says nothing.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, literal, or_, select
from sqlalchemy.orm import Session, aliased

from visionops_assets.catalog.schema import AnnotationRow, EarlyLabel, Frame, PredictionRow
from visionops_assets.contracts import TRAINING_ALONE, Purpose
from visionops_assets.errors import QuotaExceededError

MAX_EARLY_LABELS = 10_000
"""Labels per key of predictions that have not come: some minutes of a busy application."""
EARLY_RETRY_AFTER_S = 10
REVOKED = "revoked"
"""The origin of a row that takes a label back."""
VOLUNTEERED = "volunteered"
"""The origin of labels of predictions that nobody drew: people report more errors than they should.

They train and are a doubt, and say nothing of how often a model is right."""
AUDIT = Purpose.AUDIT.value
"""The origin of labels that answer a draw, by which predictions were chosen whatever they say."""
TRAINS_ALONE = frozenset({VOLUNTEERED, *(purpose.value for purpose in TRAINING_ALONE)})
"""The origins of labels that train, and say nothing of how often a model is right."""
TRUST_IN_VOLUNTEERS = 0.5
"""Of a file that volunteers and others labelled, the others' labels count."""
PLACE = ("media_id", "prediction_id", "model_name", "start_s", "end_s")
"""Columns that say what an annotation is about: a row that takes one back repeats them."""


def stands(
    row: type[AnnotationRow] = AnnotationRow, at: datetime | None = None
) -> ColumnElement[bool]:
    """Return whether a row is an annotation that was not taken back: now, or until `at`."""
    taking_back = aliased(AnnotationRow)
    is_taken_back = exists().where(taking_back.retracts == row.annotation_id)
    if at is not None:
        is_taken_back = is_taken_back.where(taking_back.created_at <= at)
    return and_(row.retracts.is_(None), ~is_taken_back)


def answers_a_draw(row: type[AnnotationRow] = AnnotationRow) -> ColumnElement[bool]:
    """Return whether a label of a prediction counts for accuracy, the alarm and the holdout.

    Versions before told no label from another (`feedback`): all that they took goes on counting.
    """
    return row.origin.not_in(sorted(TRAINS_ALONE))


def is_for(model_name: str) -> ColumnElement[bool]:
    """Return whether a row is for a model: it names it, or none."""
    return or_(AnnotationRow.model_name.is_(None), AnnotationRow.model_name == model_name)


def is_about_the_frame(row: type[AnnotationRow] = AnnotationRow) -> ColumnElement[bool]:
    """Return whether a row is about a frame of the same query: it is of its file, at its time."""
    is_at_its_time = and_(row.start_s <= Frame.time_s, Frame.time_s < row.end_s)
    return and_(row.media_id == Frame.media_id, or_(row.start_s.is_(None), is_at_its_time))


def add_prediction_label(
    session: Session, prediction_id: UUID, payload: dict[str, Any], origin: str, author: str
) -> AnnotationRow:
    """Add what someone said about a prediction, which may still be on its way to the catalog.

    Raises:
        QuotaExceededError: too many predictions that this key labelled have not come.
    """
    row = AnnotationRow(prediction_id=prediction_id, payload=payload, origin=origin, author=author)
    session.add(row)
    session.flush()
    note_if_early(session, row.annotation_id, prediction_id, author)
    return row


def note_if_early(session: Session, label_id: int, prediction_id: UUID, author: str) -> None:
    """Note an annotation of a prediction that has not come to the catalog yet.

    Raises:
        QuotaExceededError: too many predictions that this key labelled have not come.
    """
    if session.scalar(select(exists().where(PredictionRow.prediction_id == prediction_id))):
        return
    session.add(EarlyLabel(label_id=label_id, author=author))
    session.flush()
    count = select(func.count()).where(EarlyLabel.author == author)
    if (session.scalar(count) or 0) <= MAX_EARLY_LABELS:
        return
    come = select(AnnotationRow.annotation_id).join(
        PredictionRow, PredictionRow.prediction_id == AnnotationRow.prediction_id
    )
    session.execute(
        delete(EarlyLabel).where(EarlyLabel.author == author, EarlyLabel.label_id.in_(come))
    )
    if (session.scalar(count) or 0) > MAX_EARLY_LABELS:
        raise QuotaExceededError(
            f"{MAX_EARLY_LABELS:,} predictions that this key labelled are not known. Label only "
            "predictions that were made, or wait until they have come.",
            EARLY_RETRY_AFTER_S,
        )


def revoke(session: Session, author: str, since: datetime | None = None) -> tuple[int, int]:
    """Take back the labels that a key gave, of media and of predictions; return how many of each.

    Earlier labels of others count again. Labels that are taken back already stay so.
    """
    theirs = select(
        *(getattr(AnnotationRow, name) for name in PLACE),
        literal(REVOKED),
        AnnotationRow.annotation_id,
    ).where(AnnotationRow.author == author, stands())
    if since is not None:
        theirs = theirs.where(AnnotationRow.created_at >= since)
    taking_back = insert(AnnotationRow).from_select([*PLACE, "origin", "retracts"], theirs)
    added = session.scalars(taking_back.returning(AnnotationRow.media_id)).all()
    of_media = sum(media_id is not None for media_id in added)
    return of_media, len(added) - of_media
