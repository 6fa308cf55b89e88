"""The order of the steps of an upload, against a catalog and a store that only take notes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from tests.services.test_ingest_measuring import PNG_HEAD
from visionops_assets.catalog import media, outbox
from visionops_assets.contracts import MediaEvent
from visionops_assets.errors import ServerUnreachableError, TooLargeError
from visionops_assets.services.ingest.measuring import CHUNK_BYTES
from visionops_assets.services.ingest.upload import UploadRequest, Uploads
from visionops_assets.settings import Settings

REQUEST = UploadRequest("camera", "a.png", datetime(2026, 3, 1, tzinfo=UTC), label="7")


class Notes:
    """Stands in for catalog, store, `catalog.media` and `catalog.outbox`; notes each call."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.events: list[MediaEvent] = []
        self.known_media_id: UUID | None = None
        self.failing: dict[str, Exception] = {}

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield
        self._note("commit")

    def _note(self, step: str) -> None:
        if step in self.failing:
            raise self.failing.pop(step)
        self.steps.append(step)

    def step(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_named: self._note(name)

    def put_stream(self, _key: str, chunks: Iterable[bytes]) -> None:
        for _ in chunks:
            pass
        self._note("put_stream")

    def find_stored(self, *_: object) -> SimpleNamespace | None:
        # A racing upload becomes visible only once it has made `mark_stored` fail.
        if self.known_media_id is None or "stored" in self.failing:
            return None
        return SimpleNamespace(media_id=self.known_media_id)

    def add_media_event(self, _session: object, _topic: str, event: MediaEvent) -> None:
        self._note("event")
        self.events.append(event)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    notes = Notes()
    for name, step in {
        "insert_intent": "intent",
        "mark_stored": "stored",
        "add_label": "label",
        "add_differing_label": "differing label",
        "delete_intent": "forget",
    }.items():
        monkeypatch.setattr(media, name, notes.step(step))
    monkeypatch.setattr(media, "find_stored", notes.find_stored)
    monkeypatch.setattr(outbox, "add_media_event", notes.add_media_event)
    return notes


def _uploads(notes: Notes, **settings: Any) -> Uploads:
    store = SimpleNamespace(
        put=notes.step("put"), put_stream=notes.put_stream, delete=notes.step("delete")
    )
    return Uploads(Settings(**settings), cast("Any", notes), cast("Any", store))


def test_intent_then_object_then_state_with_event(notes: Notes) -> None:
    receipt = _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD))
    assert notes.steps == ["intent", "commit", "put", "stored", "event", "label", "commit"]
    (event,) = notes.events
    assert not receipt.duplicate
    assert event.media_id == receipt.media_id
    assert event.sha256 == receipt.content.sha256
    assert (event.source, event.captured_at) == (REQUEST.source, REQUEST.captured_at)
    assert event.object_key.startswith("media/")
    assert event.object_key.endswith(str(receipt.media_id))


def test_a_large_file_is_streamed(notes: Notes) -> None:
    _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD.ljust(CHUNK_BYTES + 1, b"\0")))
    assert "put_stream" in notes.steps
    assert "put" not in notes.steps


def test_a_duplicate_leaves_neither_object_nor_intent(notes: Notes) -> None:
    notes.known_media_id = uuid4()
    receipt = _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD))
    assert receipt.duplicate
    assert receipt.media_id == notes.known_media_id
    assert notes.events == []
    assert notes.steps[2:] == ["put", "differing label", "commit", "delete", "forget", "commit"]


def test_a_race_of_equal_uploads_is_decided_again(notes: Notes) -> None:
    notes.failing["stored"] = IntegrityError("", None, Exception("unique"))
    notes.known_media_id = uuid4()
    receipt = _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD))
    assert (receipt.media_id, receipt.duplicate) == (notes.known_media_id, True)
    assert notes.events == []


def test_a_refused_file_leaves_nothing(notes: Notes) -> None:
    with pytest.raises(TooLargeError):
        _uploads(notes, max_upload_bytes=10).receive(REQUEST, BytesIO(PNG_HEAD))
    assert notes.steps == ["intent", "commit", "delete", "forget", "commit"]


def test_while_the_store_is_down_the_intent_stays(notes: Notes) -> None:
    notes.failing = {"put": ServerUnreachableError("put"), "delete": ServerUnreachableError("del")}
    with pytest.raises(ServerUnreachableError, match="put"):
        _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD))
    assert notes.steps == ["intent", "commit"]


def test_an_unknown_outcome_of_the_commit_keeps_the_object(notes: Notes) -> None:
    notes.failing["label"] = ServerUnreachableError("the catalog went away")
    with pytest.raises(ServerUnreachableError):
        _uploads(notes).receive(REQUEST, BytesIO(PNG_HEAD))
    assert "delete" not in notes.steps
    assert "forget" not in notes.steps
