from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from tests.services.test_camera_backlog import capture
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.errors import RefusedError, ServerUnreachableError, VisionOpsError
from visionops_assets.services.camera import ingest, uploader
from visionops_assets.services.camera.backlog import Backlog, Capture
from visionops_assets.services.camera.ingest import IngestUploads
from visionops_assets.services.camera.state import CameraState
from visionops_assets.services.camera.uploader import Uploader, filename, idempotency_key
from visionops_assets.settings import Settings
from visionops_client.ingest import IngestClient, Receipt

DOWN = ServerUnreachableError("Ingest does not answer.")
RECEIPT = Receipt(
    media_id=uuid4(),
    sha256=64 * "0",
    kind=MediaKind.VIDEO,
    bytes=1,
    duplicate=False,
    status=MediaStatus.QUEUED,
)


class Ingest:
    """Answers as it is told, one after the other, and stops the uploader at the end."""

    def __init__(self, stop: Event, *answers: Receipt | VisionOpsError) -> None:
        self.answers = list(answers)
        self.sent: list[Capture] = []
        self.stop = stop

    def upload(self, name: str, sent: Capture, label: str | None) -> Receipt:
        assert (name, label) == ("gate", "door")
        self.sent.append(sent)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, VisionOpsError):
            raise answer
        return answer


def run(
    captures: int, *answers: Receipt | VisionOpsError
) -> tuple[Ingest, Backlog, dict[str, int]]:
    """Upload captures until all answers are given."""
    stop, state, backlog = Event(), CameraState(), Backlog()
    for number in range(captures):
        backlog.add(capture(number))
    uploads = Ingest(stop, *answers)
    Uploader("gate", "door", backlog, state, uploads, stop, patience_s=0).run()
    return uploads, backlog, state.uploads()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "jittered_backoff_s", lambda failures: 0)


def test_captures_are_uploaded_in_their_order() -> None:
    duplicate = RECEIPT.model_copy(update={"duplicate": True})
    uploads, backlog, outcomes = run(3, RECEIPT, duplicate, RECEIPT)
    assert uploads.sent == [capture(0), capture(1), capture(2)]
    assert outcomes == {"stored": 2, "duplicate": 1}
    assert backlog.waiting == 0


def test_a_capture_waits_for_ingest_to_come_back() -> None:
    uploads, backlog, outcomes = run(1, DOWN, VisionOpsError("anything"), RECEIPT)
    assert uploads.sent == [capture(0)] * 3
    assert outcomes == {"stored": 1}
    assert (backlog.waiting, backlog.dropped) == (0, 0)


def test_what_ingest_refuses_is_counted_and_not_sent_again() -> None:
    refusal = RefusedError(422, "no_frames", "It has none.")
    uploads, backlog, outcomes = run(2, refusal, RECEIPT)
    assert uploads.sent == [capture(0), capture(1)]
    assert outcomes == {"no_frames": 1, "stored": 1}
    assert backlog.waiting == 0


def test_what_was_cut_before_the_stop_is_still_uploaded() -> None:
    stop, backlog, state = Event(), Backlog(), CameraState()
    for number in range(3):
        backlog.add(capture(number))
    stop.set()
    uploads = Ingest(Event(), RECEIPT, RECEIPT, RECEIPT)
    Uploader("gate", "door", backlog, state, uploads, stop, patience_s=10).run()
    assert state.uploads() == {"stored": 3}


def test_patience_ends_when_ingest_stays_away(caplog: pytest.LogCaptureFixture) -> None:
    _, backlog, outcomes = run(2, DOWN)
    assert (backlog.waiting, outcomes) == (2, {})
    assert "2 captures lost" in caplog.text


def test_names_say_the_camera_and_the_time() -> None:
    began_at = datetime(2026, 1, 31, 12, 0, 5, 250_000, tzinfo=UTC)
    still = Capture(MediaKind.IMAGE, began_at, b"")
    assert filename("gate", still) == "gate-20260131T120005Z.jpg"
    assert idempotency_key("gate", still) == "gate-2026-01-31T12:00:05.250000+00:00"


def test_a_key_that_is_refused_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([SecretStr("old"), SecretStr("new")])
    monkeypatch.setattr(ingest, "own_key", lambda *_: next(made))
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.headers["Authorization"] == "Bearer old":
            return httpx.Response(401, json={"code": "unauthenticated", "detail": "No."})
        return httpx.Response(201, content=RECEIPT.model_dump_json())

    transport = httpx.MockTransport(answer)
    client = IngestClient
    monkeypatch.setattr(
        ingest, "IngestClient", lambda *args, **named: client(*args, **named, transport=transport)
    )
    uploads = IngestUploads(Settings(), Catalog())
    with pytest.raises(ServerUnreachableError, match="refuses the API key"):
        uploads.upload("gate", capture(1), "door")
    assert uploads.upload("gate", capture(1), "door") == RECEIPT
    query = asked[-1].url.params
    assert (query["source"], query["label"]) == ("camera:gate", "door")
    assert datetime.fromisoformat(query["captured_at"]) == capture(1).captured_at
    assert asked[0].headers["Idempotency-Key"] == asked[1].headers["Idempotency-Key"]


def test_it_waits_longer_the_more_often_ingest_failed_in_a_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an answer it counts anew, and says once per outage that captures wait."""
    failed: list[int] = []
    waited: list[float | None] = []

    class Stop(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            return self.is_set()

    def backoff(failures: int) -> float:
        failed.append(failures)
        return 10.0 * failures

    monkeypatch.setattr(uploader, "jittered_backoff_s", backoff)
    stop, backlog = Stop(), Backlog()
    for number in range(3):
        backlog.add(capture(number))
    uploads = Ingest(stop, DOWN, DOWN, RECEIPT, DOWN, RECEIPT, RECEIPT)
    Uploader("gate", "door", backlog, CameraState(), uploads, stop, patience_s=0).run()
    assert failed == [1, 2, 1]
    assert waited == [10.0, 20.0, 10.0]
    assert caplog.text.count("captures wait") == 2


def test_at_the_end_it_tries_again_for_as_long_as_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every half second; where nothing is left, not at all."""
    now_s, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        slept.append(seconds)
        now_s += seconds

    clock = SimpleNamespace(monotonic=lambda: now_s, sleep=sleep)
    monkeypatch.setattr(uploader, "time", clock)
    stop, backlog, state = Event(), Backlog(), CameraState()
    stop.set()
    uploads = Ingest(Event(), *[DOWN] * 4)
    backlog.add(capture(0))
    Uploader("gate", "door", backlog, state, uploads, stop, patience_s=2.0).run()
    assert slept == [0.5] * 4
    assert len(uploads.sent) == 4
    backlog.done()
    Uploader("gate", "door", backlog, state, uploads, stop, patience_s=2.0).run()
    assert len(uploads.sent) == 4


def test_without_a_capture_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "IDLE_POLL_S", 0.01)
    uploads = Ingest(Event())
    idle = Uploader("gate", "door", Backlog(), CameraState(), uploads, Event(), patience_s=0)
    assert [idle._upload_next(failures) for failures in (0, 3)] == [0, 3]
    assert uploads.sent == []
