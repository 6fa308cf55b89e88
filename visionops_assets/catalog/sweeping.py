"""Finds the work of the sweep: abandoned uploads, lost events, old answers.

Leases and expiries are by PostgreSQL's clock, so that the servers need not agree on theirs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.batches import consumed
from visionops_assets.catalog.media import FIRST_ATTEMPT
from visionops_assets.catalog.outbox import announce, event_id_of
from visionops_assets.catalog.schema import (
    Acknowledgement,
    Media,
    Outbox,
    ResumableUpload,
)
from visionops_assets.contracts import MediaStatus


@dataclass(frozen=True)
class GivenUpUpload:
    """An upload whose lease ran out, fenced by one sweep: its writer can no longer store it."""

    media_id: UUID
    object_key: str
    attempt: int

    @property
    def is_forgettable(self) -> bool:
        """Say whether it was fenced a lease ago: by now its writer has noticed, or is dead."""
        return self.attempt > FIRST_ATTEMPT + 1


def fence_expired_uploads(session: Session, lease: timedelta, limit: int) -> list[GivenUpUpload]:
    """Take uploads with an expired lease from their writers, and lease them to the caller."""
    expired = (
        select(Media.media_id)
        .where(Media.status == MediaStatus.RECEIVING, Media.lease_expires_at < func.now())
        .order_by(Media.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    fenced = session.execute(
        update(Media)
        .where(Media.media_id.in_(expired))
        .values(attempt=Media.attempt + 1, lease_expires_at=func.now() + lease)
        .returning(Media.media_id, Media.object_key, Media.attempt)
    )
    return [GivenUpUpload(*row) for row in fenced]


def forget_upload(session: Session, upload: GivenUpUpload) -> None:
    """Delete the row of an upload that the caller still holds, and whose object is gone."""
    session.execute(
        delete(Media).where(
            Media.media_id == upload.media_id,
            Media.attempt == upload.attempt,
            Media.status == MediaStatus.RECEIVING,
        )
    )


def announce_untaken(
    session: Session, topic: str, published_before: timedelta, after: UUID, limit: int
) -> tuple[int, UUID | None]:
    """Announce stored media again if their events were published long ago and never taken.

    Looks at up to `limit` stored media whose ids follow `after`. The announcement is the same one:
    if the first event is still in the queue, one of the two has no effect.

    Returns:
        How many were announced, and the last id looked at: None when there are no more.
    """
    candidates = session.scalars(
        select(Media)
        .where(
            Media.status == MediaStatus.STORED,
            Media.stored_at < func.now() - published_before,
            Media.media_id > after,
        )
        .order_by(Media.media_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    by_event = {event_id_of(media.media_id, media.announcement): media for media in candidates}
    under_way = consumed(session, by_event) | _owed_or_fresh(session, by_event, published_before)
    untaken = [media for event_id, media in by_event.items() if event_id not in under_way]
    for media in untaken:
        announce(session, topic, media)
    return len(untaken), candidates[-1].media_id if len(candidates) == limit else None


def _owed_or_fresh(
    session: Session, event_ids: Collection[UUID], published_before: timedelta
) -> set[UUID]:
    """Select events not published yet, or lately; the outbox has forgotten older ones."""
    query = select(Outbox.event_id).where(
        Outbox.event_id.in_(event_ids),
        or_(
            Outbox.published_at.is_(None),
            Outbox.published_at >= func.now() - published_before,
        ),
    )
    return set(session.scalars(query))


def open_resumables(session: Session) -> Sequence[UUID]:
    """Return the incomplete resumable uploads: their parts are still needed."""
    query = select(ResumableUpload.upload_id).where(ResumableUpload.receipt.is_(None))
    return session.scalars(query).all()


def lock_expired_resumable(session: Session) -> UUID | None:
    """Lock one expired resumable upload until the transaction ends; None without one.

    A request that would renew it waits meanwhile, and then finds it gone.
    """
    return session.scalar(
        select(ResumableUpload.upload_id)
        .where(ResumableUpload.expires_at < func.now())
        .order_by(ResumableUpload.expires_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def forget_resumable(session: Session, upload_id: UUID) -> None:
    """Delete the row of a resumable upload whose parts are gone."""
    session.execute(delete(ResumableUpload).where(ResumableUpload.upload_id == upload_id))


def delete_acknowledgements(session: Session, older_than: timedelta) -> int:
    """Forget the answers to old Idempotency-Keys; return their number."""
    deleted = session.execute(
        delete(Acknowledgement)
        .where(Acknowledgement.created_at < func.now() - older_than)
        .returning(Acknowledgement.idempotency_key)
    )
    return len(deleted.all())


@dataclass(frozen=True)
class Waiting:
    """The number of uploads and media that wait for the sweep."""

    expired_uploads: int
    expired_resumables: int
    untaken_media: int


def waiting(session: Session, stored_before: timedelta) -> Waiting:
    """Count expired uploads, and media stored longer ago than `stored_before` yet not queued."""
    return Waiting(
        expired_uploads=_count(
            session, Media.status == MediaStatus.RECEIVING, Media.lease_expires_at < func.now()
        ),
        expired_resumables=_count(session, ResumableUpload.expires_at < func.now()),
        untaken_media=_count(
            session,
            Media.status == MediaStatus.STORED,
            Media.stored_at < func.now() - stored_before,
        ),
    )


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(*conditions)) or 0
