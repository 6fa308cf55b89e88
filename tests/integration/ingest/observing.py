"""What ingest has left behind, in catalog and object store."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Acknowledgement, AnnotationRow, Media, Outbox
from visionops_assets.contracts.payloads import text_of
from visionops_assets.resources.object_store import ObjectStore


@dataclass(frozen=True)
class Kept:
    """All that an upload may write."""

    media: frozenset[UUID]
    events: int
    answers: int
    objects: tuple[str, ...]
    parts: tuple[str, ...]


def kept() -> Kept:
    """Look at everything."""
    with Catalog().begin() as session:
        return Kept(
            media=frozenset(session.scalars(select(Media.media_id))),
            events=len(session.scalars(select(Outbox.event_id)).all()),
            answers=len(session.scalars(select(Acknowledgement.idempotency_key)).all()),
            objects=tuple(ObjectStore().list_keys("media")),
            parts=tuple(ObjectStore().list_keys("uploads")),
        )


def row_of(media_id: str) -> Media:
    """Return the row of a media file."""
    with Catalog().begin() as session:
        return session.get_one(Media, UUID(media_id))


def labels_of(media_id: str) -> list[str]:
    """Return all labels of a media file, the oldest first."""
    with Catalog().begin() as session:
        query = (
            select(AnnotationRow.payload)
            .where(AnnotationRow.media_id == UUID(media_id))
            .order_by(AnnotationRow.annotation_id)
        )
        return list(map(text_of, session.scalars(query)))
