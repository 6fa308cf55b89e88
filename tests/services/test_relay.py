import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog import outbox
from visionops_assets.catalog.schema import Outbox
from visionops_assets.contracts import MediaEvent, MediaKind
from visionops_assets.errors import PublishError, ServerUnreachableError
from visionops_assets.resources.broker import OutgoingEvent
from visionops_assets.services import relay as relay_module
from visionops_assets.services.relay import Relay, outgoing


def _row(source: str = "camera") -> Outbox:
    event = MediaEvent(
        event_id=uuid4(),
        media_id=uuid4(),
        object_key="media/2026/03/01/x",
        sha256="0" * 64,
        bytes=1,
        kind=MediaKind.IMAGE,
        content_type="image/png",
        source=source,
        captured_at=datetime(2026, 3, 1, tzinfo=UTC),
        stored_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    return Outbox(
        event_id=event.event_id,
        topic="media",
        message_key=str(event.media_id),
        payload=event.model_dump(mode="json"),
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_reads_back_as_the_event(source: str) -> None:
    row = _row(source)
    message = outgoing(row)
    event = MediaEvent.model_validate_json(message.value)
    assert event.model_dump(mode="json") == row.payload
    assert (message.topic, message.key) == ("media", str(event.media_id))
    assert message.event_id == str(event.event_id)


class FakeOutbox:
    """Rows in memory behind the functions of `catalog.outbox`; a failed block marks nothing."""

    def __init__(self, rows: int) -> None:
        self.unpublished = [_row() for _ in range(rows)]
        self._marked: list[UUID] = []

    @contextmanager
    def begin(self) -> Iterator["FakeOutbox"]:
        self._marked = []
        yield self
        self.unpublished = [r for r in self.unpublished if r.event_id not in self._marked]

    def take(self, _session: object, limit: int) -> list[Outbox]:
        return self.unpublished[:limit]

    def mark(self, _session: object, event_ids: Sequence[UUID]) -> None:
        self._marked = list(event_ids)


class FakeBroker:
    """A broker whose first answers are the given errors; stops the relay when all is sent.

    `None` among them is an answer without one.
    """

    def __init__(self, stop: Event, *errors: Exception | None) -> None:
        self.published: list[OutgoingEvent] = []
        self._stop = stop
        self._errors = list(errors)

    @contextmanager
    def producer(self) -> Iterator["FakeBroker"]:
        first = self._errors[0] if self._errors else None
        if isinstance(first, ServerUnreachableError):
            del self._errors[0]
            raise first
        yield self

    def publish_all(self, events: Sequence[OutgoingEvent]) -> None:
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        self.published += events
        if not self._errors:
            self._stop.set()


class PatientEvent(Event):
    """Waits for nothing, and notes how long it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits_s.append(timeout or 0.0)
        return self.is_set()


class Heart:
    """Counts its beats."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1


@pytest.fixture
def owed(monkeypatch: pytest.MonkeyPatch) -> FakeOutbox:
    fake = FakeOutbox(rows=3)
    monkeypatch.setattr(outbox, "take_unpublished", fake.take)
    monkeypatch.setattr(outbox, "mark_published", fake.mark)
    monkeypatch.setattr(outbox, "delete_published", lambda *_: 0)
    return fake


def _run(owed: FakeOutbox, *errors: Exception | None) -> tuple[FakeBroker, PatientEvent]:
    stop = PatientEvent()
    broker = FakeBroker(stop, *errors)
    heart = Heart()
    Relay(cast("Any", owed), cast("Any", broker), cast("Any", heart), stop).run()
    assert heart.beats > len(errors), "One that waits for a server is alive."
    return broker, stop


def test_events_are_published_oldest_first_and_marked(owed: FakeOutbox) -> None:
    expected = [str(row.event_id) for row in owed.unpublished]
    broker, _ = _run(owed)
    assert [event.event_id for event in broker.published] == expected
    assert owed.unpublished == []


def test_while_the_broker_is_down_events_stay_owed_and_waits_grow(owed: FakeOutbox) -> None:
    down: list[Exception] = [ServerUnreachableError("down")] * 3 + [PublishError("not acked")] * 3
    broker, stop = _run(owed, *down)
    assert len(broker.published) == 3
    backoffs_s = stop.waits_s[: len(down)]
    assert backoffs_s == [0.5, 1, 2, 4, 5, 5]


def test_after_a_success_the_waits_begin_again(owed: FakeOutbox) -> None:
    """An outage of last week is no reason to wait long in this one."""
    owed.unpublished += [_row() for _ in range(500)]  # two batches
    down: list[Exception | None] = [PublishError("not acked")] * 3
    _, stop = _run(owed, *down, None, *down, None)
    # The first batch is full, so that none is waited for; the second one is not.
    assert stop.waits_s == [0.5, 1, 2, 0.5, 1, 2, 1]


def test_what_was_published_is_forgotten_after_a_day_and_looked_for_every_ten_minutes(
    owed: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, pruned = 1_000.0, list[tuple[float, timedelta]]()
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(outbox, "delete_published", lambda _, age: pruned.append((now_s, age)))
    owed.unpublished = []

    class Turns(PatientEvent):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now_s
            now_s += 299.5
            if now_s > 2_500:
                self.set()
            return self.is_set()

    stop = Turns()
    broker = FakeBroker(stop)
    Relay(cast("Any", owed), cast("Any", broker), cast("Any", Heart()), stop).run()
    assert pruned == [(1_000.0, timedelta(days=1)), (1_898.5, timedelta(days=1))]


def test_what_was_not_acknowledged_is_not_marked(owed: FakeOutbox) -> None:
    stop = PatientEvent()
    broker = FakeBroker(stop, PublishError("not acked"))
    relay = Relay(cast("Any", owed), cast("Any", broker), cast("Any", Heart()), stop)
    with pytest.raises(PublishError):
        relay.publish_batch(cast("Any", broker))
    assert len(owed.unpublished) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_its_publication(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handlers: dict[int, Any] = {}
    runs: list[bool] = []

    def relay_until(catalog: object, broker: object, heartbeat: object, stop: Event) -> Any:
        def run() -> None:
            handlers[number](number, None)
            runs.append(stop.is_set())

        return SimpleNamespace(run=run)

    monkeypatch.setattr(relay_module.signal, "signal", handlers.__setitem__)  # type: ignore[attr-defined]
    monkeypatch.setattr(relay_module, "configure_logging", lambda: runs.append(True))
    monkeypatch.setattr(relay_module, "Catalog", object)
    monkeypatch.setattr(relay_module, "Broker", object)
    monkeypatch.setattr(relay_module, "Relay", relay_until)
    relay_module.main()
    assert runs == [True, True]


def test_messages_keep_letters_of_any_script_as_they_are() -> None:
    """Escaped, a name in Cyrillic would take three times its bytes."""
    assert "кот".encode() in outgoing(_row("кот")).value
