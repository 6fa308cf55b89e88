"""The queue: publish with acknowledgement, and open readers (`topic_reader.py`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from visionops_assets.errors import PublishError
from visionops_assets.resources.codecs import bound_decompression
from visionops_assets.resources.topic_reader import TopicReader, reaching
from visionops_assets.settings import kafka_connection, load_settings

BATCH_BYTES = 900_000
"""Less than brokers accept by default (1 MiB). kafka-python's own 16 kB make many requests."""
DELIVERY_TIMEOUT_S = 20.0
BOOTSTRAP_TIMEOUT_S = 10.0
"""How long a reader looks for a broker. kafka-python's own 30 s are half of a sensor's time."""
FETCH_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class OutgoingEvent:
    """One message to publish. `event_id` becomes its header."""

    topic: str
    key: str
    value: bytes
    event_id: str


class EventProducer:
    """Publishes events, and waits until every in-sync replica has them."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    def publish_all(self, events: Sequence[OutgoingEvent]) -> None:
        """Publish events and return once all are acknowledged.

        Raises:
            PublishError: at least one was not acknowledged; any of them may still be in the queue.
        """
        try:
            futures = [
                self._producer.send(
                    event.topic,
                    key=event.key.encode(),
                    value=event.value,
                    headers=[("event_id", event.event_id.encode())],
                )
                for event in events
            ]
            self._producer.flush(timeout=DELIVERY_TIMEOUT_S)
            for future in futures:
                future.get(timeout=DELIVERY_TIMEOUT_S)
        except KafkaError as error:
            raise PublishError(
                f"The queue did not acknowledge {len(events)} event(s): {error}"
            ) from error


class Broker:
    """Apache Kafka, or a server that speaks its protocol.

    Address and credentials come from the settings.
    """

    @contextmanager
    def producer(self) -> Iterator[EventProducer]:
        """Open a producer (acks from all in-sync replicas) for the length of the block.

        Raises:
            ServerUnreachableError: no broker answers, or it does not let us in.
            SettingsError: the settings of the queue do not go together.
        """
        settings = load_settings()
        with reaching():
            producer = KafkaProducer(
                **kafka_connection(settings),
                acks="all",
                enable_idempotence=settings.kafka_idempotent_producer,
                linger_ms=20,
                batch_size=BATCH_BYTES,
                delivery_timeout_ms=int(DELIVERY_TIMEOUT_S * 1000),
                request_timeout_ms=int(DELIVERY_TIMEOUT_S * 500),
            )
        try:
            yield EventProducer(producer)
        finally:
            producer.close(timeout=5)

    @contextmanager
    def reader(self) -> Iterator[TopicReader]:
        """Open a reader for the length of the block.

        Raises:
            ServerUnreachableError: no broker answers, or it does not let us in.
            SettingsError: the settings of the queue do not go together.
        """
        bound_decompression()
        with reaching():
            consumer = KafkaConsumer(
                **kafka_connection(load_settings()),
                bootstrap_timeout_ms=int(BOOTSTRAP_TIMEOUT_S * 1000),
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=FETCH_BYTES,
            )
        try:
            with reaching():
                yield TopicReader(consumer)
        finally:
            consumer.close()
