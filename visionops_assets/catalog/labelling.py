"""Labelling batches: files and predictions whose labels are asked for, and their progress.

Whoever has chosen calls `open_batch` with a purpose, from which follows what the answers count for.
Items are claimed in their order (`claims`), and answered by the routes of annotations. `asked` says
which of them have their label.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.asked import count_labelled
from visionops_assets.catalog.locks import Lock, hold
from visionops_assets.catalog.schema import Decision, LabellingBatch, LabellingItem
from visionops_assets.contracts import Purpose
from visionops_assets.errors import NotFoundError

LABELLED_ENOUGH = 0.9
"""Labelled share at which a batch is closed: nobody can name some images."""


@dataclass(frozen=True)
class Subject:
    """The subject of a question: a prediction, a file, or a part of a video.

    `start_s` to `end_s` (exclusive) are the part; both None for the whole file.
    """

    prediction_id: UUID | None = None
    media_id: UUID | None = None
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class BatchProgress:
    """A batch, and the number of its items that have their label.

    `model_version` and `decision_id` are None where no model chose, and no decision asked.
    """

    batch_id: int
    model_name: str
    model_version: int | None
    decision_id: int | None
    opened_at: datetime
    closed_at: datetime | None
    items: int
    labelled: int
    purpose: Purpose = Purpose.AUDIT


def open_batch(
    session: Session,
    model_name: str,
    purpose: Purpose,
    *,
    predictions: Sequence[UUID] = (),
    media: Sequence[UUID | Subject] = (),
    model_version: int | None = None,
    decision: Decision | None = None,
    batch_size: int | None = None,
) -> LabellingBatch | None:
    """Open a batch that asks for labels for a model; None if nothing is left to ask.

    `predictions` and `media` come first that are to be labelled first: they are claimed in this
    order. `media` are whole files by their ids, or parts of videos. Those that an open batch of
    this model and purpose asks for already are left out, so to call it again asks nothing twice.
    Of the others the first `batch_size` are asked for.

    `audit` and `holdout` take only what was drawn by chance, whatever it shows and whatever the
    model said: their answers judge. Of `audit` one batch per model is open, and its caller holds
    the decision lock. What was chosen to learn from is a `selection`; labels that are doubted are
    `conflicts`. Both train alone. Batches are closed by `close_batches`.
    """
    hold(session, Lock.LABELLING, model_name)
    wanted = dict.fromkeys(
        [
            *(Subject(prediction_id=key) for key in predictions),
            *(each if isinstance(each, Subject) else Subject(media_id=each) for each in media),
        ]
    )
    known = _asked_already(session, model_name, purpose)
    left = [each for each in wanted if each not in known][:batch_size]
    if not left:
        return None
    batch = LabellingBatch(
        model_name=model_name,
        model_version=decision.model_version if decision else model_version,
        purpose=purpose.value,
        decision_id=decision.decision_id if decision else None,
    )
    session.add(batch)
    session.flush()
    rows: list[dict[str, Any]] = [{"batch_id": batch.batch_id, **asdict(each)} for each in left]
    session.execute(insert(LabellingItem), rows)
    return batch


def _asked_already(session: Session, model_name: str, purpose: Purpose) -> set[Subject]:
    item = LabellingItem
    query = (
        select(item.prediction_id, item.media_id, item.start_s, item.end_s)
        .join(LabellingBatch, LabellingBatch.batch_id == item.batch_id)
        .where(
            LabellingBatch.model_name == model_name,
            LabellingBatch.purpose == purpose.value,
            LabellingBatch.closed_at.is_(None),
        )
    )
    return {Subject(*row) for row in session.execute(query)}


def close_batches(
    session: Session, model_name: str, max_age_s: float, champion_version: int | None = None
) -> Sequence[int]:
    """Close the open batches of a model that have enough labels or are too old.

    An audit of another version than the champion is closed, too: its answers judge nothing that
    serves. Return the ids of the closed batches.
    """
    closed = [
        batch.batch_id
        for batch in batches(session, model_name=model_name, only_open=True)
        if batch.labelled >= LABELLED_ENOUGH * batch.items
    ]
    age = func.extract("epoch", func.now() - LabellingBatch.opened_at)
    is_due = LabellingBatch.batch_id.in_(closed) | (age > max_age_s)
    if champion_version is not None:
        is_due |= and_(
            LabellingBatch.purpose == Purpose.AUDIT.value,
            LabellingBatch.model_version != champion_version,
        )
    statement = (
        update(LabellingBatch)
        .where(LabellingBatch.model_name == model_name, LabellingBatch.closed_at.is_(None), is_due)
        .values(closed_at=func.now())
        .returning(LabellingBatch.batch_id)
    )
    return session.scalars(statement).all()


def batches(
    session: Session,
    *,
    model_name: str | None = None,
    purpose: Purpose | None = None,
    only_open: bool = False,
    limit: int | None = None,
) -> list[BatchProgress]:
    """Return batches with their progress, newest first."""
    query = _progress().order_by(LabellingBatch.batch_id.desc()).limit(limit)
    if model_name is not None:
        query = query.where(LabellingBatch.model_name == model_name)
    if purpose is not None:
        query = query.where(LabellingBatch.purpose == purpose.value)
    if only_open:
        query = query.where(LabellingBatch.closed_at.is_(None))
    return [_as_progress(row) for row in session.execute(query)]


def batch_of(session: Session, batch_id: int) -> BatchProgress:
    """Return a batch with its progress.

    Raises:
        NotFoundError: there is no such batch.
    """
    row = session.execute(_progress().where(LabellingBatch.batch_id == batch_id)).one_or_none()
    if row is None:
        raise NotFoundError(
            f"There is no labelling batch {batch_id}. See `visionops labelling-batches ls`."
        )
    return _as_progress(row)


def _progress() -> Select[*tuple[Any, ...]]:
    return (
        select(
            LabellingBatch.batch_id,
            LabellingBatch.model_name,
            LabellingBatch.model_version,
            LabellingBatch.decision_id,
            LabellingBatch.opened_at,
            LabellingBatch.closed_at,
            func.count(LabellingItem.item_id).label("items"),
            count_labelled().label("labelled"),
            LabellingBatch.purpose,
        )
        .outerjoin(LabellingItem, LabellingItem.batch_id == LabellingBatch.batch_id)
        .group_by(LabellingBatch.batch_id)
    )


def _as_progress(row: Row[Any]) -> BatchProgress:
    return BatchProgress(**{**row._asdict(), "purpose": Purpose(row.purpose)})
