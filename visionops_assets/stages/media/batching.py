"""Cuts the media topic into batches."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.topic_reader import QueuedEvent


@dataclass(frozen=True)
class BatchRule:
    """When a batch is full, and when it is due though it is not.

    It is full at `max_events`, or where the next file would take it over `max_bytes`. It is due
    once its first event is `max_wait_s` old.
    """

    max_events: int
    max_bytes: int
    max_wait_s: float


def cut_batches(
    topic: str, partition: int, events: Sequence[QueuedEvent], rule: BatchRule, now_s: float
) -> list[OffsetRange]:
    """Cut consecutive events into offset ranges; a last range that is neither full nor due waits.

    Full batches always end at the same offsets. A later call may cut the last one longer.
    Overlapping ranges are harmless, since an event belongs to the batch that took it first.
    """
    batches: list[OffsetRange] = []
    for batch, is_full in _filled(events, rule):
        age_s = now_s - batch[0].timestamp_ms / 1000
        if is_full or age_s >= rule.max_wait_s:
            batches.append(OffsetRange(topic, partition, batch[0].offset, batch[-1].offset + 1))
    return batches


def _filled(
    events: Sequence[QueuedEvent], rule: BatchRule
) -> Iterator[tuple[Sequence[QueuedEvent], bool]]:
    """Cut events into batches, and say of each whether it is full. The last one may not be."""
    first, its_bytes = 0, 0
    for place, event in enumerate(events):
        file_bytes = _announced_bytes(event)
        has_room = place - first < rule.max_events and its_bytes + file_bytes <= rule.max_bytes
        if place > first and not has_room:
            yield events[first:place], True
            first, its_bytes = place, 0
        its_bytes += file_bytes
    if left := events[first:]:
        yield left, len(left) == rule.max_events or its_bytes >= rule.max_bytes


def _announced_bytes(event: QueuedEvent) -> int:
    """Return the size of the file that an event announces; 0 if the event cannot be read."""
    try:
        found = json.loads(event.value)["bytes"]
    except (ValueError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) else 0
