"""Labels: what someone said a media file or a prediction shows, and which of them count.

No row is changed. One that takes another back names it, and repeats what is taken back.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, literal, select
from sqlalchemy.orm import Session, aliased

from visionops_assets.catalog.schema import EarlyLabel, Label, PredictionRow
from visionops_assets.errors import QuotaExceededError

MAX_EARLY_LABELS = 10_000
"""Labels per key of predictions that have not come: some minutes of a busy application."""
EARLY_RETRY_AFTER_S = 10
REVOKED = "revoked"
"""The origin of a row that takes a label back."""


def stands(label: type[Label] = Label, at: datetime | None = None) -> ColumnElement[bool]:
    """Return whether a row is a label that was not taken back: now, or until `at`."""
    taking_back = aliased(Label)
    is_taken_back = exists().where(taking_back.retracts == label.label_id)
    if at is not None:
        is_taken_back = is_taken_back.where(taking_back.labelled_at <= at)
    return and_(label.retracts.is_(None), ~is_taken_back)


def add_prediction_label(
    session: Session, prediction_id: UUID, label: str, origin: str, author: str
) -> Label:
    """Add what someone said about a prediction, which may still be on its way to the catalog.

    Raises:
        QuotaExceededError: too many predictions that this key labelled have not come.
    """
    row = Label(prediction_id=prediction_id, label=label, origin=origin, author=author)
    session.add(row)
    session.flush()
    has_come = select(exists().where(PredictionRow.prediction_id == prediction_id))
    if not session.scalar(has_come):
        _note_early(session, row.label_id, author)
    return row


def _note_early(session: Session, label_id: int, author: str) -> None:
    session.add(EarlyLabel(label_id=label_id, author=author))
    session.flush()
    count = select(func.count()).where(EarlyLabel.author == author)
    if (session.scalar(count) or 0) <= MAX_EARLY_LABELS:
        return
    come = select(Label.label_id).join(
        PredictionRow, PredictionRow.prediction_id == Label.prediction_id
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
        Label.media_id, Label.prediction_id, Label.label, literal(REVOKED), Label.label_id
    ).where(Label.author == author, stands())
    if since is not None:
        theirs = theirs.where(Label.labelled_at >= since)
    columns = ["media_id", "prediction_id", "label", "origin", "retracts"]
    added = (
        session.execute(insert(Label).from_select(columns, theirs).returning(Label.media_id))
        .scalars()
        .all()
    )
    of_media = sum(media_id is not None for media_id in added)
    return of_media, len(added) - of_media
