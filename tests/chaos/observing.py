"""Reads everything there is from the catalog, the object store and the queue."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

import cv2
import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.chaos.records import ConsumedRow, FrameRow, MediaRow, Place, State
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import (
    ConsumedEvent,
    Frame,
    Media,
    Outbox,
    ResumableUpload,
)
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import NotFoundError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings

READ_TIMEOUT_S = 60.0
MAX_EVENTS = 1_000_000


def unfinished() -> dict[str, int]:
    """Count what is still under way, without what is nil; empty when all is at rest."""
    with Catalog().begin() as session:
        by_status = session.execute(
            select(Media.status, func.count())
            .where(Media.status.not_in([MediaStatus.PROCESSED, MediaStatus.QUARANTINED]))
            .group_by(Media.status)
        )
        counts = {status.value: count for status, count in by_status}
        counts["in the outbox"] = _count(session, Outbox.published_at.is_(None))
        counts["uploading in parts"] = _count(session, ResumableUpload.receipt.is_(None))
    return {what: count for what, count in counts.items() if count}


def observe(settings: Settings) -> State:
    """Read all of it. Nothing may be under way."""
    store = ObjectStore()
    with Catalog().begin() as session:
        media = tuple(map(_media_row, session.scalars(select(Media))))
        consumed = tuple(map(_consumed_row, session.scalars(select(ConsumedEvent))))
        frames = session.scalars(select(Frame).order_by(Frame.shard_key)).all()
        events = session.execute(select(Outbox.event_id, Outbox.published_at)).all()
        dead_letters = _count(session, Outbox.topic == settings.kafka_dead_letter_topic)
        open_uploads = session.scalars(
            select(ResumableUpload.upload_id).where(
                ResumableUpload.receipt.is_(None), ResumableUpload.expires_at > func.now()
            )
        ).all()
    return State(
        media=media,
        consumed=consumed,
        frames=tuple(_frame_rows(store, frames)),
        owed_events=frozenset(event for event, published_at in events if published_at is None),
        published_events=frozenset(event for event, published_at in events if published_at),
        queued_events=tuple(_queued(settings.kafka_media_topic)),
        dead_letters=dead_letters,
        sha256_by_key=tuple(
            (key, hashlib.sha256(store.get(key)).hexdigest()) for key in store.list_keys("media")
        ),
        part_keys=tuple(store.list_keys("uploads")),
        open_uploads=frozenset(open_uploads),
    )


def _count(session: Session, condition: object) -> int:
    return session.scalar(select(func.count()).where(condition)) or 0  # type: ignore[arg-type]


def _media_row(row: Media) -> MediaRow:
    return MediaRow(
        media_id=row.media_id,
        status=row.status,
        source=row.source,
        sha256=row.sha256,
        object_key=row.object_key,
        announcement=row.announcement,
        processed_at_s=_unix_time_s(row.processed_at),
    )


def _unix_time_s(time: datetime | None) -> float | None:
    return time.timestamp() if time else None


def _consumed_row(row: ConsumedEvent) -> ConsumedRow:
    place = (row.topic, row.topic_partition, row.topic_offset)
    return ConsumedRow(row.event_id, row.media_id, place)


def _frame_rows(store: ObjectStore, frames: Iterable[Frame]) -> Iterator[FrameRow]:
    """Cut every frame out of its shard; `frames` are in the order of their shards."""
    shard_key, shard = "", b""
    for frame in frames:
        if frame.shard_key != shard_key:
            shard_key, shard = frame.shard_key, _read(store, frame.shard_key)
        png = shard[frame.shard_offset : frame.shard_offset + frame.frame_bytes]
        yield FrameRow(frame.media_id, frame.spec_id, _decodes(png))


def _read(store: ObjectStore, key: str) -> bytes:
    try:
        return store.get(key)
    except NotFoundError:
        return b""


def _decodes(png: bytes) -> bool:
    return bool(png) and cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) is not None


def _queued(topic: str) -> Iterator[tuple[Place, UUID]]:
    with Broker().reader() as reader:
        for partition in reader.partitions(topic):
            for message in reader.poll(topic, partition, 0, MAX_EVENTS, READ_TIMEOUT_S):
                event_id = UUID(json.loads(message.value)["event_id"])
                yield (topic, partition, message.offset), event_id
