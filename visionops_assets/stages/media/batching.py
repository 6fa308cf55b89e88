"""Where to cut the media topic into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.broker import QueuedEvent


@dataclass(frozen=True)
class BatchRule:
    """A batch is full at `max_events`, and due once its first event is `max_wait_s` old."""

    max_events: int
    max_wait_s: float


def cut_batches(
    topic: str, partition: int, events: Sequence[QueuedEvent], rule: BatchRule, now_s: float
) -> list[OffsetRange]:
    """Cut consecutive events into offset ranges; what is neither full nor due waits.

    A range is a function of what the queue holds, so that a tick that is evaluated twice asks for
    the same runs.
    """
    batches: list[OffsetRange] = []
    for first in range(0, len(events), rule.max_events):
        chunk = events[first : first + rule.max_events]
        age_s = now_s - chunk[0].timestamp_ms / 1000
        if len(chunk) == rule.max_events or age_s >= rule.max_wait_s:
            batches.append(OffsetRange(topic, partition, chunk[0].offset, chunk[-1].offset + 1))
    return batches
