import base64
import importlib
import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.errors import KafkaConnectionError, KafkaError

from tests.triton_models.conftest import counted
from visionops_assets.contracts import Prediction, Role

SERVED = SimpleNamespace(
    name="classifier",
    version=1,
    role=Role.CHAMPION,
    card=SimpleNamespace(
        task="classification", snapshot_id="snapshot-1", classes=("dark", "bright")
    ),
)


@pytest.fixture
def recorder(triton_backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("recorder")
    monkeypatch.setattr(module, "PUBLISH_INTERVAL_S", 0.001)
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.2)
    return module


def answered(module: ModuleType, image: bytes | None = None, confidence: float = 0.75) -> Any:
    return module.Answered(
        SERVED,
        uuid4(),
        1_700_000_000.0,
        1.0,
        {
            "probabilities": np.array([[1 - confidence, confidence]], np.float32),
            "embedding": np.ones((1, 3), np.float32),
        },
        np.array([0.5, 0.25, -3.0, 0.0], np.float32),
        "0" * 64,
        image,
    )


class FakeProducer:
    """Acknowledges, loses or refuses each message as `fates` says, in turn; then acknowledges."""

    def __init__(self, fates: list[str]) -> None:
        self.fates = fates
        self.stored: list[tuple[str, bytes, bytes]] = []
        self.closed = 0

    def send(self, topic: str, key: bytes, value: bytes) -> Any:
        fate = self.fates.pop(0) if self.fates else "acknowledged"
        if fate == "refused":
            raise KafkaError
        if fate == "acknowledged":
            self.stored.append((topic, key, value))
        return SimpleNamespace(succeeded=lambda: fate == "acknowledged")

    def flush(self, timeout: float) -> None:
        pass

    def close(self, timeout: float) -> None:
        self.closed += 1


class Counts:
    def __init__(self) -> None:
        self.recorded = self.dropped = self.answered = 0

    def add(self, recorded: int, dropped: int, answered: list[Any]) -> None:
        self.recorded += recorded
        self.dropped += dropped
        self.answered += len(answered)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(
    st.lists(st.sampled_from(["acknowledged", "lost", "refused"]), max_size=12), st.integers(0, 9)
)
def test_whatever_the_queue_does_each_prediction_is_recorded_once_in_the_end(
    recorder: ModuleType, fates: list[str], predictions: int
) -> None:
    producer, counts = FakeProducer(fates), Counts()
    subject = recorder.Recorder(lambda: producer, "predictions", counts.add)
    made = [answered(recorder) for _ in range(predictions)]
    for one in made:
        subject.record(one)
    subject.close()
    assert (counts.recorded, counts.dropped, counts.answered) == (predictions, 0, predictions)
    # One that was refused in the middle of a batch is sent again with its neighbours.
    assert {key.decode() for _, key, _ in producer.stored} == {str(m.prediction_id) for m in made}


def test_a_prediction_is_published_as_json_under_its_id(recorder: ModuleType) -> None:
    producer, sent = FakeProducer([]), answered(recorder, image=b"an image")
    subject = recorder.Recorder(lambda: producer, "predictions", Counts().add)
    subject.record(sent)
    subject.close()
    ((topic, key, value),) = producer.stored
    assert (topic, key) == ("predictions", str(sent.prediction_id).encode())
    read = Prediction.model_validate_json(value)
    assert (read.prediction_id, read.label, read.role) == (sent.prediction_id, "bright", "champion")
    assert (read.image, read.probabilities) == (b"an image", (0.25, 0.75))
    assert read.quality == (0.5, 0.25, -3.0, 0.0)


def test_what_does_not_fit_is_dropped_without_waiting_and_counted(recorder: ModuleType) -> None:
    may_connect, producer, counts = threading.Event(), FakeProducer([]), Counts()

    def connect() -> FakeProducer:
        assert may_connect.wait(10)
        return producer

    subject = recorder.Recorder(connect, "predictions", counts.add, capacity=3)
    for _ in range(5):
        subject.record(answered(recorder))
    may_connect.set()
    subject.close()
    assert (counts.recorded, counts.dropped) == (3, 2)


def test_without_a_queue_all_are_dropped_at_the_end(recorder: ModuleType) -> None:
    def connect() -> FakeProducer:
        raise KafkaConnectionError

    counts = Counts()
    subject = recorder.Recorder(connect, "predictions", counts.add)
    for _ in range(4):
        subject.record(answered(recorder))
    started_s = time.monotonic()
    subject.close()
    assert time.monotonic() - started_s < 2
    assert (counts.recorded, counts.dropped, counts.answered) == (0, 4, 4)


def test_a_prediction_outlives_the_image_that_has_no_room(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BUFFERED_IMAGE_BYTES", 10)
    may_connect, producer = threading.Event(), FakeProducer([])

    def connect() -> FakeProducer:
        assert may_connect.wait(10)
        return producer

    subject = recorder.Recorder(connect, "predictions", Counts().add)
    for _ in range(3):
        subject.record(answered(recorder, image=b"x" * 6))
    may_connect.set()
    subject.close()
    images = [Prediction.model_validate_json(value).image for _, _, value in producer.stored]
    assert images == [b"x" * 6, None, None]


@pytest.mark.parametrize(("noisy_rows", "kept_side_px"), [(400, 1024), (1100, 512)])
def test_a_large_image_is_kept_so_small_that_it_fits_into_a_message(
    recorder: ModuleType, noisy_rows: int, kept_side_px: int
) -> None:
    # Noise is what JPEG compresses least.
    image = np.zeros((1100, 1100, 3), np.uint8)
    image[:noisy_rows] = np.random.default_rng(0).integers(0, 256, (noisy_rows, 1100, 3))
    kept = recorder.image_to_keep(cv2.imencode(".png", image)[1].tobytes())
    assert len(base64.b64encode(kept)) < recorder.BATCH_BYTES
    assert max(np.asarray(cv2.imdecode(np.frombuffer(kept, np.uint8), 1)).shape) == kept_side_px
    assert recorder.image_to_keep(b"small") == b"small"


@given(st.integers(1, 1_000_000), st.booleans())
@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_no_side_of_a_kept_image_is_rounded_to_nothing(
    recorder: ModuleType, side_px: int, upright: bool
) -> None:
    shape = (side_px, max(1, 10_000 // side_px), 3)
    image = np.zeros(shape if upright else (shape[1], shape[0], 3), np.uint8)
    encoded = cv2.imencode(".bmp", image)[1].tobytes() + bytes(recorder.WHOLE_IMAGE_BYTES)
    kept = np.asarray(cv2.imdecode(np.frombuffer(recorder.image_to_keep(encoded), np.uint8), 1))
    assert min(kept.shape[:2]) >= 1
    assert max(kept.shape[:2]) <= recorder.SMALLER_SIDES_PX[0]


@pytest.mark.parametrize("error", [cv2.error("no"), MemoryError()])
def test_an_image_that_cannot_be_made_smaller_is_not_kept(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    large = bytes(recorder.WHOLE_IMAGE_BYTES + 1)
    assert recorder.image_to_keep(large) is None

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(recorder.cv2, "imdecode", fail)
    assert recorder.image_to_keep(large) is None


@given(st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_share_of_sampled_predictions_is_the_rate(recorder: ModuleType, rate: float) -> None:
    ids = [UUID(int=value * 7_919) for value in range(1_000)]
    kept = [i for i in ids if recorder.is_sampled(i, rate)]
    assert [i for i in kept if not recorder.is_sampled(i, 1.0)] == []
    assert abs(len(kept) / len(ids) - rate) < 0.05


def test_the_tally_counts_classes_and_confidence(recorder: ModuleType) -> None:
    tally = recorder.Tally("classifier", 1, Role.CANARY)
    tally.add(2, 1, [answered(recorder, confidence=c) for c in (0.75, 0.97)])
    assert counted("visionops_predictions_recorded_total", role="canary", version="1") == 2
    assert counted("visionops_predictions_dropped_total") == 1
    assert counted("visionops_predictions_class_total", **{"class": "bright"}) == 2
    by_bound = {
        b: counted("visionops_predictions_confidence_bucket", le=b)
        for b in ("0.7", "0.8", "0.99", "+Inf")
    }
    assert by_bound == {"0.7": 0, "0.8": 1, "0.99": 2, "+Inf": 2}
