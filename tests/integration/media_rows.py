"""Media files put straight into catalog and object store, as ingest would leave them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import cv2
import numpy as np

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.outbox import announce
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings


def png() -> bytes:
    """A small picture that no test made before."""
    pixels = np.frombuffer(np.random.default_rng().bytes(40 * 40 * 3), np.uint8)
    return cv2.imencode(".png", pixels.reshape(40, 40, 3))[1].tobytes()


def _row(media_id: UUID, lease: timedelta, source: str = "test", **fields: Any) -> Media:
    return Media(
        media_id=media_id,
        source=source,
        object_key=f"media/{media_id}",
        captured_at=datetime.now(UTC),
        lease_expires_at=datetime.now(UTC) + lease,
        **fields,
    )


def begin_upload(data: bytes | None, lease: timedelta) -> Media:
    """An upload under way, whose object is there already if there are `data`."""
    media = _row(uuid4(), lease, status=MediaStatus.RECEIVING)
    with Catalog().begin() as session:
        session.add(media)
    if data is not None:
        ObjectStore().put(media.object_key, data)
    return media


def store(data: bytes, *, announced: bool = True, source: str = "test") -> Media:
    """A stored file, and the event that is owed for it."""
    media = _row(
        uuid4(),
        timedelta(minutes=5),
        source,
        status=MediaStatus.STORED,
        stored_at=datetime.now(UTC),
        kind=MediaKind.IMAGE,
        content_type="image/png",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        announcement=1,
    )
    ObjectStore().put(media.object_key, data)
    with Catalog().begin() as session:
        session.add(media)
        session.flush()
        if announced:
            announce(session, load_settings().kafka_media_topic, media)
    return media


def look(media_id: UUID) -> Media | None:
    """The row as it is now, or None."""
    with Catalog().begin() as session:
        return session.get(Media, media_id)
