import importlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.errors import KafkaConnectionError, KafkaError

from visionops_assets.contracts import Prediction


def prediction() -> Prediction:
    return Prediction(
        prediction_id=uuid4(),
        predicted_at=datetime.now(UTC),
        model_name="classifier",
        model_version=1,
        snapshot_id="snapshot-1",
        label="7",
        probabilities=(0.5, 0.5),
        embedding=(1.0,),
        image_sha256="0" * 64,
        latency_ms=1.0,
    )


class FakeFuture:
    def __init__(self, acknowledged: bool) -> None:
        self._acknowledged = acknowledged

    def add_callback(self, call: Callable[[Any], None]) -> None:
        if self._acknowledged:
            call(None)

    def add_errback(self, call: Callable[[Any], None]) -> None:
        if not self._acknowledged:
            call(KafkaError())


class FakeProducer:
    """Acknowledges, loses or refuses each message as `fates` says, in turn."""

    def __init__(self, fates: list[str]) -> None:
        self._fates = iter(fates)
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.flushed = self.closed = False

    def send(self, topic: str, key: bytes, value: bytes) -> FakeFuture:
        fate = next(self._fates, "acknowledged")
        if fate == "refused":
            raise KafkaError
        self.sent.append((topic, key, value))
        return FakeFuture(fate == "acknowledged")

    def flush(self, timeout: float) -> None:
        self.flushed = True

    def close(self, timeout: float) -> None:
        self.closed = True


class Counts:
    def __init__(self) -> None:
        self.recorded = self.dropped = 0

    def add(self, recorded: int, dropped: int) -> None:
        self.recorded += recorded
        self.dropped += dropped


@pytest.fixture
def recorder(triton_backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("recorder")
    monkeypatch.setattr(module, "POLL_S", 0.01)
    return module


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(st.lists(st.sampled_from(["acknowledged", "lost", "refused"]), max_size=30))
def test_every_prediction_is_counted_once(recorder: ModuleType, fates: list[str]) -> None:
    producer, counts = FakeProducer(fates), Counts()
    subject = recorder.Recorder(lambda: producer, "predictions", counts.add)
    for _ in fates:
        subject.record(prediction())
    subject.close()
    assert counts.recorded == fates.count("acknowledged")
    assert counts.dropped == len(fates) - counts.recorded
    assert producer.flushed
    assert producer.closed


def test_a_prediction_is_published_as_json_under_its_id(recorder: ModuleType) -> None:
    producer, sent = FakeProducer([]), prediction()
    subject = recorder.Recorder(lambda: producer, "predictions", Counts().add)
    subject.record(sent)
    subject.close()
    ((topic, key, value),) = producer.sent
    assert (topic, key) == ("predictions", str(sent.prediction_id).encode())
    assert Prediction.model_validate_json(value) == sent


def test_what_does_not_fit_is_dropped_without_waiting(recorder: ModuleType) -> None:
    may_connect, producer, counts = threading.Event(), FakeProducer([]), Counts()

    def connect() -> FakeProducer:
        assert may_connect.wait(10)
        return producer

    subject = recorder.Recorder(connect, "predictions", counts.add, capacity=3)
    for _ in range(5):
        subject.record(prediction())
    may_connect.set()
    subject.close()
    assert (counts.recorded, counts.dropped) == (3, 2)


def test_without_a_queue_all_are_dropped_at_the_end(recorder: ModuleType) -> None:
    def connect() -> FakeProducer:
        raise KafkaConnectionError

    counts = Counts()
    subject = recorder.Recorder(connect, "predictions", counts.add)
    for _ in range(4):
        subject.record(prediction())
    subject.close()
    assert (counts.recorded, counts.dropped) == (0, 4)
