"""The outbox: events owed to the queue, written with the state that they announce."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Outbox
from visionops_assets.contracts import MediaEvent


@dataclass(frozen=True)
class Backlog:
    """Events that the queue has not acknowledged yet."""

    events: int
    oldest_age_s: float


def add_media_event(session: Session, topic: str, event: MediaEvent) -> None:
    """Owe the queue one event; equal media ids go to the same partition."""
    session.add(
        Outbox(
            event_id=event.event_id,
            topic=topic,
            message_key=str(event.media_id),
            payload=event.model_dump(mode="json"),
        )
    )


def take_unpublished(session: Session, limit: int) -> Sequence[Outbox]:
    """Lock and return the oldest unpublished events, without those another relay holds."""
    return session.scalars(
        select(Outbox)
        .where(Outbox.published_at.is_(None))
        .order_by(Outbox.outbox_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


def mark_published(session: Session, event_ids: Sequence[UUID]) -> None:
    """Note that the queue acknowledged these events."""
    session.execute(
        update(Outbox).where(Outbox.event_id.in_(event_ids)).values(published_at=func.now())
    )


def delete_published(session: Session, older_than: timedelta) -> int:
    """Delete events published longer ago than `older_than`; return how many."""
    before = datetime.now(UTC) - older_than
    deleted = session.execute(
        delete(Outbox).where(Outbox.published_at < before).returning(Outbox.outbox_id)
    )
    return len(deleted.all())


def backlog(session: Session) -> Backlog:
    """Count the unpublished events and tell the age of the oldest, 0 when there is none."""
    age = func.extract("epoch", func.now() - func.min(Outbox.created_at))
    events, oldest_age_s = session.execute(
        select(func.count(), age).where(Outbox.published_at.is_(None))
    ).one()
    return Backlog(events, float(oldest_age_s or 0.0))
