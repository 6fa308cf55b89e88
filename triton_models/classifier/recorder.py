"""Sends each prediction to the queue, or counts it as lost: the last step of the pipeline.

A prediction never waits for the queue and never fails because of it: `record` puts it into a
bounded buffer, and another thread publishes it from there, repeatedly until the queue acknowledges.
Only predictions that do not fit into the buffer are dropped, and counted, so the counts are exact
however long the queue is down. Predictions unacknowledged when the model is unloaded count as
dropped, though the queue may have stored them.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils
from kafka import KafkaProducer
from kafka.errors import KafkaError
from served import ServedModel

from visionops_assets.contracts import Prediction, Role
from visionops_assets.contracts.tensors import NETWORK_EMBEDDING
from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings, kafka_connection
from visionops_assets.tasks.base import Answer, Outputs
from visionops_assets.tasks.registry import serving

BUFFERED_PREDICTIONS = 10_000
PUBLISH_INTERVAL_S = 0.25
PUBLISHED_AT_ONCE = 1_000
ACKNOWLEDGE_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 10.0
BUFFERED_IMAGE_BYTES = 64 * 1024**2
"""While this many bytes of images wait, further predictions are kept without images."""
BATCH_BYTES = 900_000
"""Size of a message batch, below the default limit of brokers (1 MiB)."""
WHOLE_IMAGE_BYTES = 256 * 1024
SMALLER_IMAGE_BYTES = 640 * 1024
"""Largest image: in Base64 it fits into a batch. A larger message would be refused for ever."""
SMALLER_SIDES_PX = (1_024, 512)
"""Scales to try. At the last one even noise is small enough."""
CONFIDENCE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

FAMILIES = (
    ("recorded_total", "Predictions that the queue has acknowledged."),
    ("dropped_total", "Predictions that it never got."),
    ("class_total", "Predictions by the class that was answered."),
    ("confidence_bucket", "Predictions by their largest probability, cumulative."),
)
"""The metrics, after `visionops_predictions_`, and what each counts."""


@dataclass(frozen=True)
class Answered:
    """One answer, decoded and turned into a `Prediction` outside the request's path.

    It holds an image only if that is kept: thousands may wait while the queue is down. `quality`
    has the `QUALITY_MEASURES` of the frame, `outputs` the network's for this image, in one row.
    """

    served: ServedModel
    prediction_id: UUID
    answered_at_s: float
    latency_ms: float
    outputs: Outputs
    quality: npt.NDArray[np.float32]
    image_sha256: str
    kept_image: bytes | None

    @cached_property
    def answer(self) -> Answer:
        """Return the model's answer."""
        card = self.served.card
        [answer] = serving(card.task).decode(self.outputs, card)
        return answer

    def to_prediction(self) -> Prediction:
        """Build the record."""
        return Prediction.model_construct(
            prediction_id=self.prediction_id,
            predicted_at=datetime.fromtimestamp(self.answered_at_s, UTC),
            model_name=self.served.name,
            model_version=self.served.version,
            snapshot_id=self.served.card.snapshot_id,
            role=self.served.role,
            label=self.answer.label,
            probabilities=self.answer.probabilities,
            embedding=tuple(self.outputs[NETWORK_EMBEDDING.name][0].tolist()),
            image_sha256=self.image_sha256,
            latency_ms=self.latency_ms,
            quality=tuple(self.quality.tolist()),
            image=self.kept_image,
        )


def is_sampled(prediction_id: UUID, sample_rate: float) -> bool:
    """Say whether this prediction keeps its image: a fixed share does, chosen by the id alone."""
    return prediction_id.int % 1_000_000 < sample_rate * 1_000_000


def image_to_keep(image: bytes) -> bytes | None:
    """Return an encoded image that fits into a message: itself, or a smaller JPEG of it.

    None if none can be made: the answer is worth more than the picture.
    """
    if len(image) <= WHOLE_IMAGE_BYTES:
        return image
    try:
        return _smaller(image)
    except (cv2.error, MemoryError):
        return None


def _smaller(image: bytes) -> bytes | None:
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    for side_px in SMALLER_SIDES_PX:
        scale = min(1.0, side_px / max(height, width))
        # A side of a long strip would be rounded to nothing.
        size = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", smaller)[1].tobytes()
        if len(encoded) <= SMALLER_IMAGE_BYTES:
            return encoded
    return None


def connect(settings: Settings) -> KafkaProducer:
    """Open a producer.

    Raises:
        KafkaError: no broker answers, or it does not let us in.
        SettingsError: the settings of the queue do not go together.
    """
    return KafkaProducer(
        **kafka_connection(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotent_producer,
        linger_ms=20,
        batch_size=BATCH_BYTES,
        bootstrap_timeout_ms=5_000,
        max_block_ms=5_000,
        request_timeout_ms=5_000,
        delivery_timeout_ms=10_000,
    )


class Tally:
    """Counts predictions in Triton's own metrics endpoint.

    The confidence histogram is made of counters: Triton's own histograms need a call per
    prediction, which would cost more than all else in this module.
    """

    def __init__(self, model: str, version: int, role: Role) -> None:
        self._labels = {"model": model, "version": str(version), "role": role.value}
        # A family must live as long as its counters, so both are kept.
        self._families: dict[str, Any] = {}
        self._counters: dict[tuple[str, str], Any] = {}
        for name, description in FAMILIES:
            self._families[name] = pb_utils.MetricFamily(
                name=f"visionops_predictions_{name}",
                description=description,
                kind=pb_utils.MetricFamily.COUNTER,
            )
        self.add(0, 0, [])

    def add(self, recorded: int, dropped: int, answered: Sequence[Answered]) -> None:
        """Raise the counts of recorded and dropped predictions, and of new answers."""
        counts: Counter[tuple[str, str, str]] = Counter()
        counts["recorded_total", "", ""] = recorded
        counts["dropped_total", "", ""] = dropped
        for answer in answered:
            for label in answer.answer.labels:
                counts["class_total", "class", label] += 1
            confidence = answer.answer.confidence
            for bound in CONFIDENCE_BOUNDS:
                counts["confidence_bucket", "le", str(bound)] += confidence <= bound
            counts["confidence_bucket", "le", "+Inf"] += 1
        for (family, label, value), count in counts.items():
            self._counter(family, label, value).increment(count)

    def _counter(self, family: str, label: str, value: str) -> Any:
        if (family, value) not in self._counters:
            labels = self._labels | ({label: value} if label else {})
            self._counters[family, value] = self._families[family].Metric(labels=labels)
        return self._counters[family, value]


Report = Callable[[int, int, Sequence[Answered]], None]


class Recorder:
    """Publishes predictions from a thread of its own.

    `report(recorded, dropped, answered)` is called from that thread with the new counts.
    """

    def __init__(
        self,
        open_producer: Callable[[], KafkaProducer],
        topic: str,
        report: Report,
        capacity: int = BUFFERED_PREDICTIONS,
    ) -> None:
        self._open_producer = open_producer
        self._topic = topic
        self._report = report
        self._capacity = capacity
        self._image_bytes = 0
        self._waiting: deque[Answered] = deque()
        self._unacknowledged: list[Prediction] = []
        self._producer: KafkaProducer | None = None
        # Threads of the backend never call `record` at once, so a count needs no lock.
        self._dropped = 0
        self._counted_dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def record(self, answered: Answered) -> None:
        """Hand over one prediction, without waiting."""
        if len(self._waiting) + len(self._unacknowledged) >= self._capacity:
            self._dropped += 1
            return
        image_bytes = len(answered.kept_image or b"")
        if self._image_bytes + image_bytes > BUFFERED_IMAGE_BYTES:
            answered = replace(answered, kept_image=None)
        else:
            self._image_bytes += image_bytes
        self._waiting.append(answered)

    def close(self) -> None:
        """Publish the buffer, within `CLOSE_TIMEOUT_S`; the rest is dropped."""
        self._closing.set()
        self._thread.join(2 * CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._closing.wait(PUBLISH_INTERVAL_S):
            self._publish_some()
        give_up_at_s = time.monotonic() + CLOSE_TIMEOUT_S
        while (self._waiting or self._unacknowledged) and time.monotonic() < give_up_at_s:
            self._publish_some()
        self._dropped += len(self._waiting) + len(self._unacknowledged)
        self._count(0, [])
        if self._producer is not None:
            self._producer.close(timeout=1)

    def _publish_some(self) -> None:
        """Publish predictions that failed before, and then newer ones."""
        room = PUBLISHED_AT_ONCE - len(self._unacknowledged)
        taken = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        self._unacknowledged += [answer.to_prediction() for answer in taken]
        lost = self._send(self._unacknowledged) if self._unacknowledged else []
        recorded = len(self._unacknowledged) - len(lost)
        if not lost and not self._waiting:
            self._image_bytes = 0
        self._unacknowledged = lost
        self._count(recorded, taken)

    def _send(self, predictions: list[Prediction]) -> list[Prediction]:
        """Send predictions and wait for their acknowledgement; return those without one."""
        try:
            producer = self._producer = self._producer or self._open_producer()
            futures = [
                producer.send(
                    self._topic,
                    key=str(prediction.prediction_id).encode(),
                    value=prediction.model_dump_json().encode(),
                )
                for prediction in predictions
            ]
            producer.flush(timeout=ACKNOWLEDGE_TIMEOUT_S)
        except (KafkaError, SettingsError):
            # A file of the settings may come later; answers do not wait for the queue.
            self._start_afresh()
            return predictions
        lost = [p for p, f in zip(predictions, futures, strict=True) if not f.succeeded()]
        if lost:
            self._start_afresh()
        return lost

    def _start_afresh(self) -> None:
        """Drop the producer: it could still deliver predictions that are about to be sent again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                producer.close(timeout=0)

    def _count(self, recorded: int, answered: Sequence[Answered]) -> None:
        dropped = self._dropped - self._counted_dropped
        self._counted_dropped += dropped
        if recorded or dropped or answered:
            self._report(recorded, dropped, answered)
