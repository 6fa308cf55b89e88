"""What an ingest service leaves that dies before it acknowledges: the sweep's work."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, update

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.resources.object_store import ObjectStore

LEASE = timedelta(seconds=60)
"""Of what could not be made whole: then this is swept later."""


@contextmanager
def abandoned_upload() -> Iterator[None]:
    """Make an intent with its object; its lease runs out at the end of the block.

    Raises:
        ServerUnreachableError: the catalog or the store does not answer.
    """
    media_id, now = uuid4(), datetime.now(UTC)
    intent = Media(
        media_id=media_id,
        status=MediaStatus.RECEIVING,
        source="",
        object_key=f"media/abandoned/{media_id}",
        lease_expires_at=now + LEASE,
        captured_at=now,
    )
    with Catalog().begin() as session:
        session.add(intent)
    ObjectStore().put(intent.object_key, b"abandoned")
    yield
    with Catalog().begin() as session:
        lease_over = update(Media).where(Media.media_id == media_id)
        session.execute(lease_over.values(lease_expires_at=func.now()))
