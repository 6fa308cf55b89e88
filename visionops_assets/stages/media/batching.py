"""Cuts the media topic into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.topic_reader import QueuedEvent


@dataclass(frozen=True)
class BatchRule:
    """A batch is full at `max_events`, and due once its first event is `max_wait_s` old."""

    max_events: int
    max_wait_s: float


def cut_batches(
    topic: str, partition: int, events: Sequence[QueuedEvent], rule: BatchRule, now_s: float
) -> list[OffsetRange]:
    """Cut consecutive events into offset ranges; a last range that is neither full nor due waits.

    Full batches always end at the same offsets. A later call may cut the last one longer.
    Overlapping ranges are harmless, since an event belongs to the batch that took it first.
    """
    batches: list[OffsetRange] = []
    for first in range(0, len(events), rule.max_events):
        batch = events[first : first + rule.max_events]
        age_s = now_s - batch[0].timestamp_ms / 1000
        if len(batch) == rule.max_events or age_s >= rule.max_wait_s:
            batches.append(OffsetRange(topic, partition, batch[0].offset, batch[-1].offset + 1))
    return batches
