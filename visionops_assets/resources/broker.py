"""The queue: publish with acknowledgement, read exact offset ranges.

No consumer groups: Dagster's cursors and the catalog say what was taken. Offsets are read by
assigning and seeking, and the end of a partition is a fetch's high watermark, because by-time and
latest lookups are wrong on the local broker.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from visionops_assets.errors import LogTruncatedError, PublishError, ServerUnreachableError
from visionops_assets.settings import load_settings

BATCH_BYTES = 900_000
"""Below what brokers accept by default (1 MiB); kafka-python's own 16 kB make many requests."""
DELIVERY_TIMEOUT_S = 20.0
BOOTSTRAP_TIMEOUT_S = 10.0
"""How long a reader looks for a broker; kafka-python's own 30 s are half of what a sensor has."""
PAGE_EVENTS = 1_000
FETCH_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class OutgoingEvent:
    """One message to publish; `event_id` goes along as a header."""

    topic: str
    key: str
    value: bytes
    event_id: str


@dataclass(frozen=True)
class QueuedEvent:
    """One message as read from a topic partition."""

    offset: int
    timestamp_ms: int
    value: bytes


class EventProducer:
    """Publishes events and waits until every replica that must has them."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    def publish_all(self, events: Sequence[OutgoingEvent]) -> None:
        """Publish events and return once all are acknowledged.

        Raises:
            PublishError: at least one was not; any of them may be in the queue all the same.
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


class Broker(dg.ConfigurableResource["Broker"]):
    """Apache Kafka, or a server of its protocol. The address comes from the settings."""

    @contextmanager
    def producer(self) -> Iterator[EventProducer]:
        """Open a producer (acks from all in-sync replicas) for the length of the block.

        Raises:
            ServerUnreachableError: no broker answers.
        """
        settings = load_settings()
        with _reaching(settings.kafka_bootstrap_servers):
            producer = KafkaProducer(
                bootstrap_servers=settings.kafka_bootstrap_servers,
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
    def reader(self) -> Iterator["TopicReader"]:
        """Open a reader for the length of the block.

        Raises:
            ServerUnreachableError: no broker answers.
        """
        settings = load_settings()
        with _reaching(settings.kafka_bootstrap_servers):
            consumer = KafkaConsumer(
                bootstrap_servers=settings.kafka_bootstrap_servers,
                bootstrap_timeout_ms=int(BOOTSTRAP_TIMEOUT_S * 1000),
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=FETCH_BYTES,
            )
        try:
            with _reaching(settings.kafka_bootstrap_servers):
                yield TopicReader(consumer)
        finally:
            consumer.close()


class TopicReader:
    """Reads offset ranges of topic partitions."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def partitions(self, topic: str) -> list[int]:
        """Partition numbers of a topic, in order; none when it does not exist yet."""
        return sorted(self._consumer.partitions_for_topic(topic) or ())

    def beginning(self, topic: str, partition: int) -> int:
        """Return the first offset that a topic partition still holds, or will hold."""
        target = TopicPartition(topic, partition)
        return int(self._consumer.beginning_offsets([target])[target])

    def poll(
        self,
        topic: str,
        partition: int,
        start: int,
        max_events: int,
        timeout_s: float,
        until: float = math.inf,
    ) -> list[QueuedEvent]:
        """Read up to `max_events` from offset `start` on, stopping at the end of the partition.

        Once offset `until` is reached, no more is fetched.

        The first fetches of a connection may come back empty, so an end is believed only from the
        high watermark that a fetch returned.

        Raises:
            LogTruncatedError: `start` is outside of what the queue holds.
        """
        target = TopicPartition(topic, partition)
        self._consumer.assign([target])
        self._consumer.seek(target, start)
        events: list[QueuedEvent] = []
        position = start
        deadline = time.monotonic() + timeout_s
        while len(events) < max_events and time.monotonic() < deadline:
            try:
                fetched = self._consumer.poll(timeout_ms=200, max_records=max_events - len(events))
            except OffsetOutOfRangeError:
                raise LogTruncatedError(
                    f"{topic}-{partition} has no offset {position}: its log was cut or replaced."
                ) from None
            for record in fetched.get(target, []):
                events.append(_event(record))
                position = record.offset + 1
            end = self._consumer.highwater(target)
            if end is not None and start > end:
                # The local broker does not say so by itself.
                raise LogTruncatedError(
                    f"{topic}-{partition} ends at {end}, before offset {start}: its log was "
                    "replaced. Give the topic another name (VISIONOPS_KAFKA_MEDIA_TOPIC)."
                )
            if end is not None and position >= min(end, until):
                break
        return events

    def end(self, topic: str, partition: int, near: int, timeout_s: float) -> int:
        """Return the offset after the last event of a topic partition.

        `near` is an offset that the partition holds, or its end; the nearer to the end, the less
        is fetched.

        Raises:
            LogTruncatedError: `near` is outside of what the queue holds.
            ServerUnreachableError: the queue did not say within `timeout_s`.
        """
        self.poll(topic, partition, near, 1, timeout_s)
        end = self._consumer.highwater(TopicPartition(topic, partition))
        if end is None:
            raise ServerUnreachableError(
                f"The queue did not say within {timeout_s:.0f} s where {topic}-{partition} ends."
            )
        return int(end)

    def read_range(
        self, topic: str, partition: int, start: int, end: int, timeout_s: float = 60.0
    ) -> list[QueuedEvent]:
        """Read the events of `[start, end)`; the last one lies at `end - 1`.

        Offsets without an event are passed over: a broker that is killed may have given one to an
        event that it neither stored nor acknowledged, and Kafka's transactions take some.

        Raises:
            LogTruncatedError: the queue no longer reaches from `start` to `end`.
            ServerUnreachableError: it did not give the events within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        events = self.poll(topic, partition, start, end - start, timeout_s, until=end)
        reached = events[-1].offset + 1 if events else start
        if reached < end and time.monotonic() >= deadline:
            raise ServerUnreachableError(
                f"The queue gave [{start}, {reached}) of [{start}, {end}) of {topic}-{partition} "
                f"within {timeout_s:.0f} s. Is it up?"
            )
        if reached < end:
            raise LogTruncatedError(
                f"{topic}-{partition} no longer holds the events in [{reached}, {end}). Restore "
                "the topic, or publish the events of these media again."
            )
        return [event for event in events if event.offset < end]

    def read_all(self, topic: str, timeout_s: float = 60.0) -> Iterator[QueuedEvent]:
        """Read whatever a topic holds, partition by partition, up to its end.

        Raises:
            ServerUnreachableError: the queue gave nothing within `timeout_s`, short of the end.
        """
        for partition in self.partitions(topic):
            position = self.beginning(topic, partition)
            while events := self.poll(topic, partition, position, PAGE_EVENTS, timeout_s):
                yield from events
                position = events[-1].offset + 1
            end = self._consumer.highwater(TopicPartition(topic, partition))
            if end is None or position < end:
                raise ServerUnreachableError(
                    f"The queue gave {topic}-{partition} up to offset {position} and then nothing "
                    f"within {timeout_s:.0f} s. Is it up?"
                )


def _event(record: Any) -> QueuedEvent:
    # A message may have no value at all; to us that is as wrong as an empty one.
    return QueuedEvent(record.offset, record.timestamp, record.value or b"")


@contextmanager
def _reaching(address: str) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise ServerUnreachableError(f"The queue at {address} does not answer: {error}.") from error
