"""One upload, from its bytes to its acknowledgement: intent, object, then state with event.

A crash between any two steps loses nothing that was acknowledged and announces nothing twice. What
it may leave is an intent row whose lease runs out, and by its key the object.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import IO
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError

from visionops_assets.catalog import media, outbox
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.media import StoredContent
from visionops_assets.contracts import MediaEvent
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.ingest.measuring import MeasuredUpload
from visionops_assets.settings import Settings

LABEL_ORIGIN = "upload"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadRequest:
    """What a client says about a file. Nothing here is ever part of a path."""

    source: str
    filename: str | None
    captured_at: datetime
    label: str | None


@dataclass(frozen=True)
class Intent:
    """An upload under way: what its intent row says."""

    media_id: UUID
    object_key: str
    request: UploadRequest


@dataclass(frozen=True)
class Receipt:
    """The acknowledgement: these bytes are stored, under this id, and will be processed."""

    media_id: UUID
    content: StoredContent
    duplicate: bool


class Uploads:
    """Takes uploads in. One for the process; safe to use from several threads."""

    def __init__(self, settings: Settings, catalog: Catalog, store: ObjectStore) -> None:
        self._settings = settings
        self._catalog = catalog
        self._store = store

    def receive(self, request: UploadRequest, file: IO[bytes]) -> Receipt:
        """Store a file and announce it.

        Raises:
            MediaError: the content is refused; nothing is left of it.
            ServerUnreachableError: not acknowledged. To send the file again is safe.
            UploadExpiredError: not acknowledged, the lease ran out.
        """
        intent = self._open_intent(request)
        try:
            content = self._store_object(intent, file)
        except VisionOpsError:
            self._discard(intent)
            raise
        # From here on an error must not remove the object: the commit may have gone through.
        try:
            receipt = self._settle(intent, content)
        except IntegrityError:
            # Another upload stored the same bytes in between: now it is found.
            receipt = self._settle(intent, content)
        if receipt.duplicate:
            self._discard(intent)
        return receipt

    def _open_intent(self, request: UploadRequest) -> Intent:
        media_id = uuid4()
        now = datetime.now(UTC)
        intent = Intent(media_id, f"media/{now:%Y/%m/%d}/{media_id}", request)
        with self._catalog.begin() as session:
            media.insert_intent(
                session,
                media_id=media_id,
                object_key=intent.object_key,
                source=request.source,
                filename=request.filename,
                captured_at=request.captured_at,
                lease_expires_at=now + timedelta(seconds=self._settings.upload_lease_s),
            )
        return intent

    def _store_object(self, intent: Intent, file: IO[bytes]) -> StoredContent:
        upload = MeasuredUpload(file, self._settings.max_upload_bytes)
        chunks = upload.chunks()
        first = next(chunks)
        second = next(chunks, None)
        if second is None:
            # A stream takes three requests to the store, a small object only one.
            self._store.put(intent.object_key, first)
        else:
            self._store.put_stream(intent.object_key, chain((first, second), chunks))
        return upload.content()

    def _settle(self, intent: Intent, content: StoredContent) -> Receipt:
        """Decide in one transaction: this upload is stored and announced, or is a duplicate."""
        source, label = intent.request.source, intent.request.label
        with self._catalog.begin() as session:
            known = media.find_stored(session, source, content.sha256)
            if known:
                if label:
                    media.add_differing_label(session, known.media_id, label, LABEL_ORIGIN)
                return Receipt(known.media_id, content, duplicate=True)
            event = media_event(intent, content, stored_at=datetime.now(UTC))
            media.mark_stored(session, intent.media_id, content, event.stored_at)
            outbox.add_media_event(session, self._settings.kafka_media_topic, event)
            if label:
                media.add_label(session, intent.media_id, label, LABEL_ORIGIN)
            return Receipt(intent.media_id, content, duplicate=False)

    def _discard(self, intent: Intent) -> None:
        """Remove the object, then the row that knows its key; keep the row if that fails."""
        try:
            self._store.delete(intent.object_key)
            with self._catalog.begin() as session:
                media.delete_intent(session, intent.media_id)
        except ServerUnreachableError as error:
            _log.warning("upload %s is left to its lease: %s", intent.media_id, error)


def media_event(intent: Intent, content: StoredContent, stored_at: datetime) -> MediaEvent:
    """Build the event that announces a stored upload."""
    return MediaEvent(
        event_id=uuid4(),
        media_id=intent.media_id,
        object_key=intent.object_key,
        sha256=content.sha256,
        bytes=content.bytes,
        kind=content.kind,
        content_type=content.content_type,
        source=intent.request.source,
        captured_at=intent.request.captured_at,
        stored_at=stored_at,
    )
