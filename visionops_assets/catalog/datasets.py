"""Labelled frames at a watermark, and the snapshots cut from them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Frame, Label, Media, Snapshot
from visionops_assets.contracts import MediaStatus

WAITING = (MediaStatus.STORED, MediaStatus.QUEUED)


@dataclass(frozen=True)
class LabelBacklog:
    """What speaks for and against cutting a snapshot now."""

    new_frames: int
    """Labelled frames that the newest snapshot does not have, or has with another label."""
    oldest_new_age_s: float
    media_waiting: int
    """Media on their way to frames."""
    newest_label_id: int


def now(session: Session) -> datetime:
    """Start of this transaction: a watermark that later commits are not before."""
    return session.execute(select(func.now())).scalar_one()


def labelled_frames(session: Session, spec_id: str, watermark: datetime) -> list[dict[str, Any]]:
    """Every frame of the spec that has a label at the watermark, with its newest label."""
    newest = (
        select(Label)
        .where(Label.media_id.is_not(None), Label.labelled_at <= watermark)
        .distinct(Label.media_id)
        .order_by(Label.media_id, Label.label_id.desc())
        .subquery()
    )
    statement = (
        select(
            Frame.frame_id,
            Frame.media_id,
            Frame.frame_index,
            Frame.perceptual_hash,
            Frame.shard_key,
            Media.sha256,
            Media.received_at,
            newest.c.label,
            newest.c.origin,
            newest.c.labelled_at,
        )
        .join(Media, Media.media_id == Frame.media_id)
        .join(newest, newest.c.media_id == Frame.media_id)
        .where(Frame.spec_id == spec_id, Frame.created_at <= watermark)
        .order_by(Media.received_at, Frame.media_id, Frame.frame_index)
    )
    return [dict(row) for row in session.execute(statement).mappings()]


def label_backlog(session: Session, spec_id: str) -> LabelBacklog:
    """Measure what has become labelled since the newest snapshot's watermark."""
    since = select(func.coalesce(func.max(Snapshot.watermark), func.to_timestamp(0))).where(
        Snapshot.spec_id == spec_id
    )
    watermark = session.execute(since).scalar_one()
    became_known = func.greatest(Label.labelled_at, Frame.created_at)
    count, oldest, newest_label = session.execute(
        select(
            func.count(Frame.frame_id.distinct()),
            func.extract("epoch", func.now() - func.min(became_known)),
            func.max(Label.label_id),
        )
        .select_from(Label)
        .join(Frame, and_(Frame.media_id == Label.media_id, Frame.spec_id == spec_id))
        .where(became_known > watermark)
    ).one()
    waiting = session.execute(
        select(func.count()).select_from(Media).where(Media.status.in_(WAITING))
    ).scalar_one()
    return LabelBacklog(count, float(oldest or 0), waiting, newest_label or 0)


def add_snapshot(session: Session, snapshot: Snapshot) -> bool:
    """Record a snapshot; False when it exists already, since equal content has an equal id."""
    values = {
        column.name: getattr(snapshot, column.name)
        for column in Snapshot.__table__.columns
        if column.name != "created_at"
    }
    statement = insert(Snapshot).values(values).on_conflict_do_nothing()
    return bool(session.execute(statement.returning(Snapshot.snapshot_id)).scalar())


def newest_snapshot(session: Session) -> Snapshot | None:
    """Return the snapshot with the latest watermark."""
    return session.scalars(select(Snapshot).order_by(Snapshot.watermark.desc()).limit(1)).first()


def find_snapshot(session: Session, snapshot_id: str) -> Snapshot | None:
    """Return a snapshot by its id."""
    return session.get(Snapshot, snapshot_id)
