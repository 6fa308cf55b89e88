"""Reads offset ranges of topic partitions.

There are no consumer groups: Dagster's cursors and the catalog say what was taken. A reader assigns
itself partitions and seeks. The end of a partition is the high watermark of a fetch, because the
local broker answers lookups by time and of the latest offset wrongly.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    CorruptRecordError,
    KafkaError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from visionops_assets.errors import (
    LogTruncatedError,
    MissingCodecError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.settings import load_settings

PAGE_EVENTS = 1_000
_REFUSED = "mechanism, user, password or certificates may not be those that it takes"

Found = TypeVar("Found")


@dataclass(frozen=True)
class QueuedEvent:
    """One message as read from a topic partition.

    If its batch is damaged, `fault` says why its bytes cannot be read, and it has no value.
    """

    offset: int
    timestamp_ms: int
    value: bytes
    fault: str | None = None


class TopicReader:
    """Reads offset ranges of topic partitions."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions, in order; none if it does not exist yet."""
        return sorted(self._consumer.partitions_for_topic(topic) or ())

    def of_each_partition(
        self, topic: str, work: Callable[[int], Found]
    ) -> tuple[dict[int, Found], dict[int, VisionOpsError]]:
        """Do work for each partition of a topic. A partition that fails does not stop the others.

        Returns:
            The results, and the errors, by partition.

        Raises:
            VisionOpsError: all partitions failed; this is the first error.
        """
        done: dict[int, Found] = {}
        failed: dict[int, VisionOpsError] = {}
        for partition in self.partitions(topic):
            try:
                done[partition] = work(partition)
            except VisionOpsError as error:
                failed[partition] = error
        if failed and not done:
            raise next(iter(failed.values()))
        return done, failed

    def beginning(self, topic: str, partition: int) -> int:
        """Return the first offset that a topic partition still holds, or will hold."""
        target = TopicPartition(topic, partition)
        with reaching():
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

        Once offset `until` is reached, no more is fetched. If a batch is damaged or does not
        decompress, each of its offsets is an event with a `fault`.

        The first fetches of a connection may return nothing, so only the high watermark of a fetch
        counts as the end.

        Raises:
            LogTruncatedError: `start` is outside of what the queue holds.
            MissingCodecError: a message has a compression that cannot be read here.
            ServerUnreachableError: the queue does not answer.
        """
        target = TopicPartition(topic, partition)
        self._consumer.assign([target])
        self._consumer.seek(target, start)
        events: list[QueuedEvent] = []
        position = start
        deadline = time.monotonic() + timeout_s
        while len(events) < max_events and time.monotonic() < deadline:
            fetched = self._fetch(target, position, max_events - len(events))
            events += fetched
            position = fetched[-1].offset + 1 if fetched else position
            end = self._consumer.highwater(target)
            if end is not None and start > end:
                # The local broker does not say so by itself.
                raise LogTruncatedError(
                    f"{topic}-{partition} ends at {end}, before offset {start}: its log was "
                    "replaced."
                )
            if end is not None and position >= min(end, until):
                break
        return events

    def _fetch(self, target: TopicPartition, position: int, max_events: int) -> list[QueuedEvent]:
        """Fetch the next events, or one offset of a damaged batch, past which the next one goes."""
        try:
            with reaching():
                fetched = self._consumer.poll(timeout_ms=200, max_records=max_events)
        except OffsetOutOfRangeError:
            raise LogTruncatedError(
                f"{target.topic}-{target.partition} has no offset {position}: its log was cut or "
                "replaced."
            ) from None
        except UnsupportedCodecError as error:
            raise MissingCodecError(
                f"{target.topic}-{target.partition} holds a message at offset {position} whose "
                f"compression cannot be read here ({error}). Install the lock file of this version."
            ) from None
        except CorruptRecordError as error:
            # Its length cannot be trusted, so its offsets are tried one by one.
            self._consumer.seek(target, position + 1)
            return [QueuedEvent(position, 0, b"", f"It cannot be read from the queue: {error}.")]
        return [_event(record) for record in fetched.get(target, [])]

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

        Offsets without an event are passed over. A broker that is killed may have given one to an
        event that it neither stored nor acknowledged, and Kafka's transactions use some.

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
                f"{topic}-{partition} no longer holds the events in [{reached}, {end})."
            )
        return [event for event in events if event.offset < end]

    def read_what_is_left(
        self, topic: str, partition: int, start: int, end: int, timeout_s: float = 60.0
    ) -> list[QueuedEvent]:
        """Read the events of `[start, end)` that are left in a log that was cut or replaced."""
        first = max(start, self.beginning(topic, partition))
        if first >= end:
            return []
        try:
            events = self.poll(topic, partition, first, end - first, timeout_s, until=end)
        except LogTruncatedError:
            return []
        return [event for event in events if event.offset < end]

    def read_all(self, topic: str, timeout_s: float = 60.0) -> Iterator[QueuedEvent]:
        """Read all that a topic holds, partition by partition, up to its end.

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
    # A message may have no value at all. For us that is as wrong as an empty one.
    return QueuedEvent(record.offset, record.timestamp, record.value or b"")


@contextmanager
def reaching() -> Iterator[None]:
    """Raise any error of the queue as a server that is down, except those of a log's content."""
    try:
        yield
    except (CorruptRecordError, OffsetOutOfRangeError, UnsupportedCodecError):
        raise
    except KafkaError as error:
        settings = load_settings()
        address, protocol = settings.kafka_bootstrap_servers, settings.kafka_security_protocol
        # The client does not tell a broker that is down from one that refuses it.
        hint = f" If it is up, see what VISIONOPS_KAFKA_... say of {protocol}: {_REFUSED}."
        raise ServerUnreachableError(
            f"The queue at {address} does not answer: {error}."
            + ("" if protocol == "PLAINTEXT" else hint)
        ) from error
