"""Labelled frames at a watermark, and the snapshots cut from them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased

from visionops_assets.catalog.labels import is_about_the_frame, stands
from visionops_assets.catalog.schema import AnnotationRow, Frame, Media, Snapshot
from visionops_assets.contracts import MediaStatus
from visionops_assets.contracts.payloads import text_of
from visionops_assets.models import ModelDeclaration

WAITING = (MediaStatus.STORED, MediaStatus.QUEUED)


@dataclass(frozen=True)
class LabelBacklog:
    """The facts for and against cutting a snapshot now."""

    watermark: datetime
    """The newest snapshot's, for the model's spec; 1970 without one."""
    new_frames: int
    """Frames that the newest snapshot did not consider, or may have under another label."""
    oldest_new_age_s: float
    """Age of the oldest label since the watermark, 0 without one."""
    newest_age_s: float
    """Age of the newest label since the watermark, infinite without one."""
    media_waiting: int
    """Media on their way to frames."""
    snapshot_frames: int
    """Frames of that snapshot; 0 without one."""


def now(session: Session) -> datetime:
    """Start of this transaction, by the database's clock."""
    return session.execute(select(func.now())).scalar_one()


def labelled_frames(
    session: Session, model: ModelDeclaration, watermark: datetime
) -> list[dict[str, Any]]:
    """Return the model's frames with an annotation at the watermark, each with its newest one.

    Rows have `label`, which is the annotation as one text, and its `payload`.
    """
    given = _newest_annotations(model, watermark)
    order = (Media.received_at, Frame.media_id, Frame.frame_index)
    statement = (
        select(
            Frame.frame_id,
            Frame.media_id,
            Frame.frame_index,
            Frame.perceptual_hash,
            Frame.shard_key,
            Frame.shard_offset,
            func.coalesce(Frame.content_hash, "").label("content_hash"),
            Media.source,
            Media.captured_at,
            Media.sha256,
            Media.received_at,
            given.payload,
            given.origin,
            given.created_at.label("labelled_at"),
        )
        .join(Media, Media.media_id == Frame.media_id)
        .join(given, is_about_the_frame(given))
        .where(
            Frame.spec_id == model.frames.spec_id,
            Frame.created_at <= watermark,
            Media.status == MediaStatus.PROCESSED,
            looked_at(model),
        )
        .ext(distinct_on(*order))
        .order_by(*order, given.trust.desc(), given.annotation_id.desc())
    )
    rows = [row._asdict() for row in session.execute(statement)]
    for row in rows:
        row["label"] = text_of(row["payload"])
    return rows


def count_by_label(session: Session, model: ModelDeclaration) -> dict[str, int]:
    """Count the model's labelled frames by their newest label."""
    given = _newest_annotations(model, now(session))
    of_frames = (
        _usable_frames(model)
        .with_only_columns(given.payload)
        .join(given, is_about_the_frame(given))
        .ext(distinct_on(Frame.frame_id))
        .order_by(Frame.frame_id, given.trust.desc(), given.annotation_id.desc())
        .subquery()
    )
    counts = select(of_frames.c.payload, func.count()).group_by(of_frames.c.payload)
    by_label: Counter[str] = Counter()
    for payload, count in session.execute(counts):  # Equal labels may have different boxes.
        by_label[text_of(payload)] += count
    return dict(by_label)


def _newest_annotations(model: ModelDeclaration, watermark: datetime) -> type[AnnotationRow]:
    """Select what counts for the model at the watermark: of each part of a file one annotation.

    That is the most trusted one, and of equally trusted ones the newest.
    """
    row = AnnotationRow
    place = (row.media_id, row.start_s, row.end_s)
    newest = (
        select(row.annotation_id, row.media_id, row.start_s, row.end_s)
        .add_columns(row.payload, row.origin, row.trust, row.created_at)
        .where(row.media_id.is_not(None), row.created_at <= watermark, is_read_by(model))
        .where(stands(at=watermark))
        .ext(distinct_on(*place))
        .order_by(*place, row.trust.desc(), row.annotation_id.desc())
        .subquery()
    )
    return aliased(row, newest)


def looked_at(model: ModelDeclaration) -> ColumnElement[bool]:
    """Say of media whether they are of a source that the model looks at."""
    patterns = [_like(pattern) for pattern in model.media.sources]
    return or_(*(Media.source.like(pattern, escape="\\") for pattern in patterns))


def _like(pattern: str) -> str:
    """Write a pattern of `*` and `?` as SQL knows it."""
    plain = re.sub(r"([\\%_])", r"\\\1", pattern)
    return plain.replace("*", "%").replace("?", "_")


def is_read_by(model: ModelDeclaration) -> ColumnElement[bool]:
    """Say of annotations whether the model learns from them: they name it, or none.

    Where models of several tasks look at a file, one that names none is in the form of one task.
    """
    row = AnnotationRow
    is_of_its_task = or_(row.payload.is_(None), row.payload.op("?")(model.payload_field))
    return or_(row.model_name == model.name, and_(row.model_name.is_(None), is_of_its_task))


def label_backlog(session: Session, model: ModelDeclaration) -> LabelBacklog:
    """Compare the catalog with the model's newest snapshot of its spec.

    New frames are found by counting, not by time: a transaction that began before the watermark and
    committed after it is not overlooked.
    """
    of_spec = _of_model(model.name).where(Snapshot.spec_id == model.frames.spec_id)
    snapshot = session.scalars(of_spec.limit(1)).first()
    watermark = snapshot.watermark if snapshot else datetime.fromtimestamp(0, UTC)
    frames = snapshot.train_frames + snapshot.holdout_frames if snapshot else 0
    known = frames + snapshot.left_out_frames if snapshot else 0
    waiting = (
        select(func.count()).select_from(Media).where(Media.status.in_(WAITING), looked_at(model))
    )
    given_at = AnnotationRow.created_at
    ages = (
        select(
            func.extract("epoch", func.now() - func.min(given_at)),
            func.extract("epoch", func.now() - func.max(given_at)),
        )
        .join(Media, Media.media_id == AnnotationRow.media_id)
        .where(given_at > watermark, is_read_by(model), looked_at(model))
    )
    oldest_age_s, newest_age_s = session.execute(ages).one()
    return LabelBacklog(
        watermark=watermark,
        new_frames=max(0, _count_labelled(session, model) - known)
        + _count_relabelled(session, model, watermark),
        oldest_new_age_s=float(oldest_age_s or 0.0),
        newest_age_s=inf if newest_age_s is None else float(newest_age_s),
        media_waiting=session.execute(waiting).scalar_one(),
        snapshot_frames=frames,
    )


def _usable_frames(model: ModelDeclaration) -> Select[int]:
    return (
        select(func.count(Frame.frame_id))
        .join(Media, Media.media_id == Frame.media_id)
        .where(
            Frame.spec_id == model.frames.spec_id,
            Media.status == MediaStatus.PROCESSED,
            looked_at(model),
        )
    )


def _count_labelled(session: Session, model: ModelDeclaration) -> int:
    has_label = exists().where(is_about_the_frame(), is_read_by(model), stands())
    return session.execute(_usable_frames(model).where(has_label)).scalar_one()


def _count_relabelled(session: Session, model: ModelDeclaration, watermark: datetime) -> int:
    """Count frames that had a label at the watermark, and got another or lost it since."""
    of_frame = and_(is_about_the_frame(), is_read_by(model))
    given_at = AnnotationRow.created_at
    had_label = exists().where(of_frame, given_at <= watermark, stands(at=watermark))
    has_newer = exists().where(of_frame, given_at > watermark)
    return session.execute(_usable_frames(model).where(had_label, has_newer)).scalar_one()


def add_snapshot(session: Session, snapshot: Snapshot) -> bool:
    """Record a snapshot; False if it exists already: equal content has an equal id.

    One that exists is moved on to the newer watermark: what was labelled until then is no news,
    though it changed nothing.
    """
    values = {
        column.name: getattr(snapshot, column.name)
        for column in Snapshot.__table__.columns
        if getattr(snapshot, column.name) is not None
    }
    statement = insert(Snapshot).values(values).on_conflict_do_nothing()
    if session.execute(statement.returning(Snapshot.snapshot_id)).scalar():
        return True
    session.execute(
        update(Snapshot)
        .where(Snapshot.snapshot_id == snapshot.snapshot_id)
        .where(Snapshot.watermark < snapshot.watermark)
        .values(watermark=snapshot.watermark, left_out_frames=snapshot.left_out_frames)
    )
    return False


def newest_snapshot(session: Session, model_name: str) -> Snapshot | None:
    """Return the model's snapshot with the latest watermark."""
    return session.scalars(_of_model(model_name).limit(1)).first()


def snapshots_newest_first(session: Session, model_name: str) -> Sequence[Snapshot]:
    """Return all snapshots of the model, the one with the latest watermark first."""
    return session.scalars(_of_model(model_name)).all()


def _of_model(model_name: str) -> Select[Snapshot]:
    snapshots = select(Snapshot).where(Snapshot.model_name == model_name)
    return snapshots.order_by(Snapshot.watermark.desc())


def find_snapshot(session: Session, snapshot_id: str) -> Snapshot | None:
    """Return a snapshot by its id."""
    return session.get(Snapshot, snapshot_id)
