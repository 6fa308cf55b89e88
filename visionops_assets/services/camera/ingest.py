"""Sends captures to ingest: with the key of the settings, or with one of the service's own."""

from http import HTTPStatus
from threading import Lock

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import own_key
from visionops_assets.contracts import Scope
from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_assets.services.camera.backlog import Capture
from visionops_assets.services.camera.uploader import filename, idempotency_key
from visionops_assets.settings import Settings
from visionops_client.ingest import IngestClient, Receipt

KEY_NAME = "camera-service"


class IngestUploads:
    """Sends captures of any camera. Safe between threads."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._client: IngestClient | None = None
        self._lock = Lock()

    def upload(self, name: str, capture: Capture, label: str | None) -> Receipt:
        """Send a capture once.

        Raises:
            RefusedError: ingest refuses it for good.
            ServerUnreachableError: ingest does not answer, or does not know our key any more.
        """
        client = self._keyed_client()
        try:
            return client.upload(
                capture.content,
                source=f"camera:{name}",
                filename=filename(name, capture),
                captured_at=capture.captured_at,
                label=label,
                idempotency_key=idempotency_key(name, capture),
            )
        except RefusedError as error:
            if error.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise
            # It is not the capture's fault: it waits for a key that is accepted.
            self._discard(client)
            raise ServerUnreachableError(f"Ingest refuses the API key: {error}") from error

    def _keyed_client(self) -> IngestClient:
        with self._lock:
            if self._client is None:
                key = own_key(self._settings, self._catalog, KEY_NAME, [Scope.INGEST])
                # The uploader itself tries again, for as long as the backlog has room.
                self._client = IngestClient(self._settings.ingest_url, key, retry_for_s=0)
            return self._client

    def _discard(self, client: IngestClient) -> None:
        # Not closed: another camera may be in the middle of an upload by it.
        with self._lock:
            if self._client is client:
                self._client = None
