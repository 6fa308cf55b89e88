"""Items of labelling batches: those that have their label, and what an answer counts for.

An item that was drawn by chance has its label once its prediction has one that answers a draw: this
one, or that of the audit share. What volunteers said of it counts for nothing here, for they chose
it. Any other item has its label once somebody said something of it since it was asked for.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from visionops_assets.catalog.labels import AUDIT, VOLUNTEERED, answers_a_draw, stands
from visionops_assets.catalog.schema import AnnotationRow, LabellingBatch, LabellingItem
from visionops_assets.contracts import TRAINING_ALONE, Purpose
from visionops_assets.contracts.draws import is_drawn

_TRAINING = sorted(purpose.value for purpose in TRAINING_ALONE)
_DRAWN = sorted({*Purpose} - TRAINING_ALONE)


def is_labelled() -> ColumnElement[bool]:
    """Return whether an item of the same query, with its batch, has its label."""
    row = aliased(AnnotationRow)
    return or_(*(exists().where(stands(row), is_answer) for is_answer in _is_answer(row)))


def newest_answer() -> ColumnElement[Any]:
    """Return the payload of the newest label of an item of the same query, with its batch."""
    row = aliased(AnnotationRow)
    query = select(row.payload).where(stands(row), or_(*_is_answer(row)))
    return query.order_by(row.annotation_id.desc()).limit(1).scalar_subquery()


def count_labelled() -> ColumnElement[int]:
    """Count the items of the same query, with their batch, that have their label."""
    return func.count(LabellingItem.item_id).filter(is_labelled())


def _is_answer(row: type[AnnotationRow]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return whether a label answers an item: of a prediction, of a file. Each has an index."""
    item, batch = LabellingItem, LabellingBatch
    was_given_since = row.created_at >= batch.opened_at
    counts = case((batch.purpose.in_(_DRAWN), answers_a_draw(row)), else_=was_given_since)
    is_for_it = or_(row.model_name.is_(None), row.model_name == batch.model_name)
    meets = and_(row.start_s < item.end_s, item.start_s < row.end_s)
    is_about_it = or_(row.start_s.is_(None), item.start_s.is_(None), meets)
    return (
        and_(row.prediction_id == item.prediction_id, counts),
        and_(row.media_id == item.media_id, was_given_since, is_for_it, is_about_it),
    )


def origin_of(
    session: Session,
    prediction_id: UUID,
    audit_percent: float,
    *,
    answers_draw: bool,
    author: str | None = None,
) -> str:
    """Return the origin of a label of a prediction that is said to answer a draw, or not.

    It does if the prediction is in the audit share of its model, or in a labelling batch that was
    drawn. Else it has the purpose of the batch that asks for it, if any.
    """
    if answers_draw and is_drawn(prediction_id, audit_percent):
        return AUDIT
    is_asked = and_(_is_of_batch(), LabellingItem.prediction_id == prediction_id)
    was_drawn = exists().where(is_asked, LabellingBatch.purpose.in_(_DRAWN))
    if answers_draw and session.scalar(select(was_drawn)):
        return AUDIT
    chosen = select(LabellingBatch.purpose).where(is_asked, _is_asked_by(author))
    return session.scalar(chosen.order_by(LabellingBatch.batch_id.desc()).limit(1)) or VOLUNTEERED


def origins_of_media(
    session: Session, model_name: str, media_ids: Collection[UUID], author: str | None
) -> dict[UUID, str]:
    """Return the purpose of each file that was chosen for its label; other files are left out.

    A file is one that an open batch asks for, that this author claimed, or that was labelled for
    the purpose before: whoever corrects such a label did not draw the file either.
    """
    before = aliased(AnnotationRow)
    was_answered = exists().where(
        before.media_id == LabellingItem.media_id,
        or_(before.model_name.is_(None), before.model_name == model_name),
        before.origin == LabellingBatch.purpose,
    )
    chosen = (
        select(LabellingItem.media_id, LabellingBatch.purpose)
        .where(
            _is_of_batch(),
            LabellingItem.media_id.in_(media_ids),
            LabellingBatch.model_name == model_name,
            or_(_is_asked_by(author), and_(_trains(), was_answered)),
        )
        .order_by(LabellingBatch.batch_id)
    )
    return {media_id: purpose for media_id, purpose in session.execute(chosen) if media_id}


def _is_of_batch() -> ColumnElement[bool]:
    return LabellingItem.batch_id == LabellingBatch.batch_id


def _trains() -> ColumnElement[bool]:
    return LabellingBatch.purpose.in_(_TRAINING)


def _is_asked_by(author: str | None) -> ColumnElement[bool]:
    """Return whether a batch that trains alone asks an author for an item: now, or by a claim."""
    is_asked: ColumnElement[bool] = LabellingBatch.closed_at.is_(None)
    if author is not None:
        is_asked = or_(is_asked, LabellingItem.claimed_by == author)
    return and_(_trains(), is_asked)
