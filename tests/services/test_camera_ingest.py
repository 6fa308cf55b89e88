"""How captures go to ingest: with one key, and with another one when that is refused."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from visionops_assets.contracts import MediaKind, Scope
from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_assets.services.camera import ingest
from visionops_assets.services.camera.backlog import Capture
from visionops_assets.services.camera.ingest import IngestUploads
from visionops_assets.settings import Settings

CAPTURE = Capture(MediaKind.IMAGE, datetime(2026, 3, 1, tzinfo=UTC), b"still")


class Client:
    """Sends nothing; refuses with a status if it is told to."""

    made: list["Client"]

    def __init__(self, url: str, key: str, *, retry_for_s: float) -> None:
        assert retry_for_s == 0, "the uploader tries again itself"
        self.url, self.key = url, key
        self.status: int | None = None
        self.sent: dict[str, Any] = {}
        self.made.append(self)

    def upload(self, content: bytes, **described: Any) -> str:
        if self.status is not None:
            raise RefusedError(self.status, "refused", "No.")
        self.sent = described | {"content": content}
        return "receipt"


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> IngestUploads:
    Client.made = []
    monkeypatch.setattr(ingest, "IngestClient", Client)
    monkeypatch.setattr(
        ingest, "own_key", lambda _settings, _catalog, name, scopes: f"{name} {scopes}"
    )
    return IngestUploads(Settings(ingest_url="http://ingest:1"), cast("Any", None))


def test_a_capture_is_described_by_its_camera_and_its_time(uploads: IngestUploads) -> None:
    assert uploads.upload("gate", CAPTURE, "cat") == cast("Any", "receipt")
    uploads.upload("gate", CAPTURE, None)
    (client,) = Client.made
    assert (client.url, client.key) == ("http://ingest:1", f"camera-service {[Scope.INGEST]}")
    assert client.sent["content"] == b"still"
    assert client.sent["source"] == "camera:gate"
    assert client.sent["captured_at"] == CAPTURE.captured_at


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_replaced_and_the_capture_waits(
    uploads: IngestUploads, status: int
) -> None:
    uploads.upload("gate", CAPTURE, None)
    Client.made[0].status = status
    with pytest.raises(ServerUnreachableError, match="refuses the API key"):
        uploads.upload("gate", CAPTURE, None)
    uploads.upload("gate", CAPTURE, None)
    assert len(Client.made) == 2


def test_what_is_refused_for_itself_is_no_fault_of_the_key(uploads: IngestUploads) -> None:
    uploads.upload("gate", CAPTURE, None)
    Client.made[0].status = 422
    with pytest.raises(RefusedError):
        uploads.upload("gate", CAPTURE, None)
    with pytest.raises(RefusedError):
        uploads.upload("gate", CAPTURE, None)
    assert len(Client.made) == 1


def test_a_key_that_another_camera_renewed_is_kept(uploads: IngestUploads) -> None:
    """Two uploads by the old key fail; the second failure must not cost the new one."""
    uploads.upload("gate", CAPTURE, None)
    old = cast("Any", Client.made[0])
    uploads._discard(old)
    uploads.upload("gate", CAPTURE, None)
    uploads._discard(old)
    uploads.upload("gate", CAPTURE, None)
    assert len(Client.made) == 2
