"""Labelling batches: predictions whose labels are asked for, and their progress.

An item counts as labelled once its prediction has a label that answers a draw: this one, or that of
the audit share. What volunteers said of it counts for nothing here, for they chose it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Subquery, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from visionops_assets.catalog.labels import AUDIT, VOLUNTEERED, answers_a_draw, stands
from visionops_assets.catalog.performance import confidence, of_release
from visionops_assets.catalog.schema import (
    AnnotationRow,
    Decision,
    LabellingBatch,
    LabellingItem,
    PredictionRow,
    Release,
)
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import NotFoundError

LABELLED_ENOUGH = 0.9
"""Labelled share at which a batch is closed: nobody can name some images."""


@dataclass(frozen=True)
class BatchProgress:
    """A batch, and the number of its labelled predictions."""

    batch_id: int
    model_name: str
    model_version: int
    decision_id: int
    opened_at: datetime
    closed_at: datetime | None
    items: int
    labelled: int


@dataclass(frozen=True)
class Askable:
    """A prediction without a label that answers a draw."""

    prediction_id: UUID
    has_image: bool


@dataclass(frozen=True)
class BatchItem:
    """One prediction of a batch. `confidence` is the model's own estimate that it is right.

    `image_key` is None if its image was not kept.
    """

    prediction_id: UUID
    answer: str
    confidence: float
    image_key: str | None
    label: str | None


def askable_predictions(session: Session, release: Release, limit: int) -> list[Askable]:
    """Return those of a release's newest `limit` predictions to ask about, newest first.

    Those that only volunteers labelled are among them: without their errors, a draw would flatter.
    """
    newest = (
        select(
            PredictionRow.prediction_id,
            PredictionRow.predicted_at,
            PredictionRow.image_key.is_not(None).label("has_image"),
        )
        .where(*of_release(release))
        .order_by(PredictionRow.predicted_at.desc())
        .limit(limit)
        .subquery()
    )
    has_label = exists().where(
        AnnotationRow.prediction_id == newest.c.prediction_id, answers_a_draw(), stands()
    )
    query = (
        select(newest.c.prediction_id, newest.c.has_image)
        .where(~has_label)
        .order_by(newest.c.predicted_at.desc(), newest.c.prediction_id)
    )
    return [Askable(*row) for row in session.execute(query)]


def origin_of(
    session: Session, prediction_id: UUID, audit_percent: float, *, answers_draw: bool
) -> str:
    """Return the origin of a label that is said to answer a draw, or not.

    It does if the prediction is in the audit share of its model, or in a labelling batch.
    """
    if not answers_draw:
        return VOLUNTEERED
    is_asked_for = exists().where(LabellingItem.prediction_id == prediction_id)
    drawn = is_drawn(prediction_id, audit_percent) or session.scalar(select(is_asked_for))
    return AUDIT if drawn else VOLUNTEERED


def open_batch(
    session: Session, decision: Decision, prediction_ids: Collection[UUID]
) -> LabellingBatch:
    """Open a batch for a decision. The caller holds the decision lock and saw that none is open."""
    batch = LabellingBatch(
        model_name=decision.model_name,
        model_version=decision.model_version,
        decision_id=decision.decision_id,
    )
    session.add(batch)
    session.flush()
    rows = [{"batch_id": batch.batch_id, "prediction_id": key} for key in prediction_ids]
    session.execute(insert(LabellingItem), rows)
    return batch


def close_batches(session: Session, release: Release, max_age_s: float) -> Sequence[int]:
    """Close the open batch of a model if it has enough labels, is too old, or of another version.

    Return the ids of the closed batches.
    """
    closed = [
        batch.batch_id
        for batch in batches(session, model_name=release.model_name, only_open=True)
        if batch.labelled >= LABELLED_ENOUGH * batch.items
        or batch.model_version != release.model_version
    ]
    age = func.extract("epoch", func.now() - LabellingBatch.opened_at)
    is_due = LabellingBatch.batch_id.in_(closed) | (age > max_age_s)
    statement = (
        update(LabellingBatch)
        .where(
            LabellingBatch.model_name == release.model_name,
            LabellingBatch.closed_at.is_(None),
            is_due,
        )
        .values(closed_at=func.now())
        .returning(LabellingBatch.batch_id)
    )
    return session.scalars(statement).all()


def batches(
    session: Session, *, model_name: str | None = None, only_open: bool = False
) -> list[BatchProgress]:
    """Return batches with their progress, newest first."""
    has_label = exists().where(
        AnnotationRow.prediction_id == LabellingItem.prediction_id, answers_a_draw(), stands()
    )
    query = (
        select(
            LabellingBatch.batch_id,
            LabellingBatch.model_name,
            LabellingBatch.model_version,
            LabellingBatch.decision_id,
            LabellingBatch.opened_at,
            LabellingBatch.closed_at,
            func.count(LabellingItem.prediction_id),
            func.count(LabellingItem.prediction_id).filter(has_label),
        )
        .outerjoin(LabellingItem, LabellingItem.batch_id == LabellingBatch.batch_id)
        .group_by(LabellingBatch.batch_id)
        .order_by(LabellingBatch.batch_id.desc())
    )
    if model_name is not None:
        query = query.where(LabellingBatch.model_name == model_name)
    if only_open:
        query = query.where(LabellingBatch.closed_at.is_(None))
    return [BatchProgress(*row) for row in session.execute(query)]


def batch_items(session: Session, batch_id: int) -> list[BatchItem]:
    """Return the predictions of a batch, those without a label first, the least confident first.

    Raises:
        NotFoundError: there is no such batch.
    """
    if session.get(LabellingBatch, batch_id) is None:
        raise NotFoundError(
            f"There is no labelling batch {batch_id}. See `visionops labelling-batches ls`."
        )
    newest = _newest_labels(batch_id)
    sureness = confidence()
    query = (
        select(
            PredictionRow.prediction_id,
            PredictionRow.label,
            sureness,
            PredictionRow.image_key,
            newest.c.payload,
        )
        .join(LabellingItem, LabellingItem.prediction_id == PredictionRow.prediction_id)
        .outerjoin(newest, newest.c.prediction_id == PredictionRow.prediction_id)
        .where(LabellingItem.batch_id == batch_id)
        .order_by(newest.c.payload.is_not(None), sureness, PredictionRow.prediction_id)
    )
    return [
        BatchItem(prediction_id, answer, sure, image_key, text_of(payload))
        for prediction_id, answer, sure, image_key, payload in session.execute(query)
    ]


def _newest_labels(batch_id: int) -> Subquery:
    items = select(LabellingItem.prediction_id).where(LabellingItem.batch_id == batch_id)
    return (
        select(AnnotationRow.prediction_id, AnnotationRow.payload)
        .where(AnnotationRow.prediction_id.in_(items), answers_a_draw(), stands())
        .ext(distinct_on(AnnotationRow.prediction_id))
        .order_by(AnnotationRow.prediction_id, AnnotationRow.annotation_id.desc())
        .subquery()
    )
