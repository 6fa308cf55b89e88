"""The outbox: messages to be published, written together with the state that they announce."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Media, Outbox
from visionops_assets.contracts import DeadLetter, MediaEvent


@dataclass(frozen=True)
class Backlog:
    """Events that the queue has not acknowledged yet."""

    events: int
    oldest_age_s: float


def event_id_of(media_id: UUID, announcement: int) -> UUID:
    """Return the id of the event that announces a media file for the nth time, from 1 on."""
    return uuid5(media_id, f"announcement-{announcement}")


def media_event(media: Media) -> MediaEvent:
    """Build the event of a stored media file's newest announcement.

    Raises:
        pydantic.ValidationError: the file is not stored yet.
    """
    return MediaEvent.model_validate(
        {
            "event_id": event_id_of(media.media_id, media.announcement),
            "media_id": media.media_id,
            "object_key": media.object_key,
            "sha256": media.sha256,
            "bytes": media.bytes,
            "kind": media.kind,
            "content_type": media.content_type,
            "source": media.source,
            "captured_at": media.captured_at,
            "stored_at": media.stored_at,
        }
    )


def announce(session: Session, topic: str, media: Media) -> None:
    """Owe the queue the event of a stored media file, even if it was published before.

    Consumers know events by their ids, so that a second delivery changes nothing.
    """
    event = media_event(media)
    owed = insert(Outbox).values(
        event_id=event.event_id,
        topic=topic,
        message_key=str(event.media_id),
        payload=event.model_dump(mode="json"),
    )
    session.execute(
        owed.on_conflict_do_update(
            index_elements=[Outbox.event_id],
            set_={"topic": topic, "published_at": None, "created_at": func.now()},
        )
    )


def add_dead_letters(session: Session, topic: str, letters: Sequence[DeadLetter]) -> None:
    """Owe the queue these dead letters; those in the outbox already are not repeated."""
    rows = [
        {
            "event_id": uuid5(NAMESPACE_URL, f"dead-letter:{letter.place}"),
            "topic": topic,
            "message_key": letter.place,
            "payload": letter.model_dump(mode="json"),
        }
        for letter in letters
    ]
    if rows:
        session.execute(insert(Outbox).on_conflict_do_nothing(), rows)


def take_unpublished(session: Session, limit: int) -> Sequence[Outbox]:
    """Lock and return the oldest unpublished events, except those that another relay holds."""
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
    """Delete events published longer ago than `older_than`; return their number."""
    before = datetime.now(UTC) - older_than
    deleted = session.execute(
        delete(Outbox).where(Outbox.published_at < before).returning(Outbox.outbox_id)
    )
    return len(deleted.all())


def count_dead_letters(session: Session, topic: str, within: timedelta) -> dict[str, int]:
    """Count the dead letters written to `topic` within this time, by the topic of the message."""
    log = func.split_part(Outbox.payload["topic"].astext, "~", 1).label("log")
    letters = (
        select(log).where(Outbox.topic == topic, Outbox.created_at > func.now() - within).subquery()
    )
    query = select(letters.c.log, func.count()).group_by(letters.c.log)
    return dict(session.execute(query).all())


def backlog(session: Session) -> Backlog:
    """Count the unpublished events, and return the age of the oldest, 0 without one."""
    age = func.extract("epoch", func.now() - func.min(Outbox.created_at))
    events, oldest_age_s = session.execute(
        select(func.count(), age).where(Outbox.published_at.is_(None))
    ).one()
    return Backlog(events, float(oldest_age_s or 0.0))
