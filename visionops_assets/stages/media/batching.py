"""Where to cut the media topic into batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.broker import QueuedEvent


@dataclass(frozen=True)
class BatchRule:
    """A batch holds at most `max_events`, none later than `max_wait_s` after its first."""

    max_events: int
    max_wait_s: float


def cut_batches(
    topic: str, partition: int, events: Sequence[QueuedEvent], rule: BatchRule, now_s: float
) -> list[OffsetRange]:
    """Cut consecutive events into offset ranges; the last waits until it is full or due.

    Where a batch ends is a function of what the queue holds, not of when it is looked at: a tick
    that is evaluated again cuts the same ranges, however late.
    """
    batches: list[OffsetRange] = []
    first = 0
    while first < len(events):
        last_ms = events[first].timestamp_ms + rule.max_wait_s * 1000
        candidates = events[first : first + rule.max_events]
        batch = list(takewhile(lambda event: event.timestamp_ms <= last_ms, candidates))  # noqa: B023
        if len(batch) < rule.max_events and now_s * 1000 <= last_ms:
            break
        batches.append(OffsetRange(topic, partition, batch[0].offset, batch[-1].offset + 1))
        first += len(batch)
    return batches
