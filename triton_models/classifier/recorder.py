"""The last step of the served pipeline: each prediction goes to the queue, or is counted as lost.

A prediction never waits for the queue and never fails because of it: `record` puts into a bounded
buffer, and a thread of its own publishes from there. What does not fit, or is not acknowledged, is
dropped and counted.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from kafka import KafkaProducer
from kafka.errors import KafkaError

from visionops_assets.contracts import Prediction
from visionops_assets.settings import Settings

BUFFERED_PREDICTIONS = 10_000
POLL_S = 0.25
FLUSH_TIMEOUT_S = 5.0


def connect(settings: Settings) -> KafkaProducer:
    """Open a producer; it lingers, because the local broker stores one object a batch.

    Raises:
        KafkaError: no broker answers.
    """
    return KafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        acks="all",
        enable_idempotence=settings.kafka_idempotent_producer,
        linger_ms=200,
        max_block_ms=5_000,
        request_timeout_ms=10_000,
        delivery_timeout_ms=30_000,
    )


class Recorder:
    """Publishes predictions from a thread of its own.

    `report(recorded, dropped)` is called from that thread with what was added to either count.
    """

    def __init__(
        self,
        open_producer: Callable[[], KafkaProducer],
        topic: str,
        report: Callable[[int, int], None],
        capacity: int = BUFFERED_PREDICTIONS,
    ) -> None:
        self._open_producer = open_producer
        self._topic = topic
        self._report = report
        self._buffer: queue.Queue[Prediction] = queue.Queue(capacity)
        self._counting = threading.Lock()
        self._recorded = 0
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def record(self, prediction: Prediction) -> None:
        """Hand over one prediction, without waiting."""
        try:
            self._buffer.put_nowait(prediction)
        except queue.Full:
            self._count_dropped()

    def close(self) -> None:
        """Publish what is buffered, within `FLUSH_TIMEOUT_S`; the rest is dropped."""
        self._closing.set()
        self._thread.join(2 * FLUSH_TIMEOUT_S)

    def _run(self) -> None:
        producer = self._connected()
        if producer is not None:
            self._publish_until_closed(producer)
        while not self._buffer.empty():
            self._buffer.get_nowait()
            self._count_dropped()
        self._report_counts()

    def _connected(self) -> KafkaProducer | None:
        """Try until the queue answers; None when closed before."""
        while True:
            try:
                return self._open_producer()
            except KafkaError:
                self._report_counts()
                if self._closing.wait(1.0):
                    return None

    def _publish_until_closed(self, producer: KafkaProducer) -> None:
        next_report = 0.0
        while not (self._closing.is_set() and self._buffer.empty()):
            with suppress(queue.Empty):
                self._publish(producer, self._buffer.get(timeout=POLL_S))
            if time.monotonic() >= next_report:
                self._report_counts()
                next_report = time.monotonic() + POLL_S
        with suppress(KafkaError):  # What is not acknowledged is counted by its callback.
            producer.flush(timeout=FLUSH_TIMEOUT_S)
        producer.close(timeout=FLUSH_TIMEOUT_S)

    def _publish(self, producer: KafkaProducer, prediction: Prediction) -> None:
        try:
            sent = producer.send(
                self._topic,
                key=str(prediction.prediction_id).encode(),
                value=prediction.model_dump_json().encode(),
            )
        except KafkaError:
            self._count_dropped()
            return
        sent.add_callback(lambda _: self._count_recorded())
        sent.add_errback(lambda _: self._count_dropped())

    def _count_recorded(self) -> None:
        with self._counting:
            self._recorded += 1

    def _count_dropped(self) -> None:
        with self._counting:
            self._dropped += 1

    def _report_counts(self) -> None:
        with self._counting:
            recorded, self._recorded = self._recorded, 0
            dropped, self._dropped = self._dropped, 0
        if recorded or dropped:
            self._report(recorded, dropped)
