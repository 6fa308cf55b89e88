"""Batches of media events: cut from the queue, and taken once.

Not here: the results of processing their media (`processing.py`).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.logs import topic_of
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.catalog.schema import ConsumedEvent, Media, MediaBatch
from visionops_assets.contracts import MediaEvent, MediaStatus
from visionops_assets.errors import InvalidRequestError, LogTruncatedError

_BATCH_KEY = re.compile(r"(.+)-(\d+)-(\d+)-(\d+)", re.ASCII)


@dataclass(frozen=True)
class OffsetRange:
    """Events `[start, end)` of one topic partition: what a batch key stands for.

    `topic` is the name of its log (`logs.py`), `topic_to_read` that in the queue.
    """

    topic: str
    partition: int
    start: int
    end: int

    @property
    def batch_key(self) -> str:
        """Return the partition key of `media_batches`, also the run key of the batch's run."""
        return f"{self.topic}-{self.partition}-{self.start}-{self.end}"

    @property
    def topic_to_read(self) -> str:
        """Return the topic that the log belongs to."""
        return topic_of(self.topic)

    @classmethod
    def parse(cls, batch_key: str) -> "OffsetRange":
        """Read a batch key back.

        Raises:
            InvalidRequestError: it is not the key of a batch.
        """
        read = _BATCH_KEY.fullmatch(batch_key)
        offsets = cls(read[1], *map(int, read.groups()[1:])) if read else None
        if offsets is None or offsets.start >= offsets.end:
            raise InvalidRequestError(
                f"{batch_key!r} names no batch of media: its form is TOPIC-PARTITION-START-END."
            )
        return offsets


@dataclass(frozen=True)
class Problem:
    """The reason why a message cannot be handled: a stable code, and words."""

    code: str
    detail: str


def problems_of(session: Session, events: Sequence[tuple[int, MediaEvent]]) -> dict[int, Problem]:
    """Return, by offset, the events that announce nothing known to the catalog."""
    stored = session.execute(
        select(Media.media_id, Media.announcement).where(
            Media.media_id.in_({event.media_id for _, event in events}),
            Media.status != MediaStatus.RECEIVING,
        )
    )
    announcements = dict(stored.all())
    problems: dict[int, Problem] = {}
    for offset, event in events:
        newest = announcements.get(event.media_id)
        if newest is None:
            detail = f"There is no stored media file {event.media_id}."
            problems[offset] = Problem("unknown_media", detail)
        elif event.event_id not in {event_id_of(event.media_id, n + 1) for n in range(newest)}:
            detail = f"Media file {event.media_id} was never announced by {event.event_id}."
            problems[offset] = Problem("unknown_announcement", detail)
    return problems


def consumed(session: Session, event_ids: Collection[UUID]) -> set[UUID]:
    """Return the ids among these that a batch has taken."""
    query = select(ConsumedEvent.event_id).where(ConsumedEvent.event_id.in_(event_ids))
    return set(session.scalars(query))


def take_events(
    session: Session, offsets: OffsetRange, events: Sequence[tuple[int, MediaEvent]]
) -> list[Media]:
    """Note events as consumed by this batch, and return the media that are its own.

    An event belongs to the batch that noted it first: a second delivery changes nothing, and a
    batch that runs again finds its media again.

    Raises:
        LogTruncatedError: another event lay at one of these offsets before.
    """
    session.execute(
        insert(MediaBatch)
        .values(
            batch_key=offsets.batch_key,
            topic=offsets.topic,
            topic_partition=offsets.partition,
            start_offset=offsets.start,
            end_offset=offsets.end,
        )
        .on_conflict_do_nothing()
    )
    _note_consumed(session, offsets, events)
    own = select(ConsumedEvent.media_id).where(ConsumedEvent.batch_key == offsets.batch_key)
    session.execute(
        update(Media)
        .where(Media.media_id.in_(own), Media.status == MediaStatus.STORED)
        .values(status=MediaStatus.QUEUED)
    )
    return list(
        session.scalars(
            select(Media)
            .where(Media.media_id.in_(own), Media.status != MediaStatus.FORGOTTEN)
            .order_by(Media.stored_at, Media.media_id)
        )
    )


def _note_consumed(
    session: Session, offsets: OffsetRange, events: Sequence[tuple[int, MediaEvent]]
) -> None:
    rows = [
        {
            "event_id": event.event_id,
            "topic": offsets.topic,
            "topic_partition": offsets.partition,
            "topic_offset": offset,
            "media_id": event.media_id,
            "batch_key": offsets.batch_key,
        }
        for offset, event in events
    ]
    if rows:
        session.execute(insert(ConsumedEvent).on_conflict_do_nothing(), rows)
        _require_known(session, offsets, {event.event_id for _, event in events})


def _require_known(session: Session, offsets: OffsetRange, event_ids: set[UUID]) -> None:
    """Fail if another event took the place of one: that one would never be processed."""
    query = select(func.count()).where(ConsumedEvent.event_id.in_(event_ids))
    lost = len(event_ids) - session.execute(query).scalar_one()
    if lost:
        raise LogTruncatedError(
            f"{lost} event(s) of batch {offsets.batch_key} lie where other events lay before: the "
            "log was replaced."
        )
