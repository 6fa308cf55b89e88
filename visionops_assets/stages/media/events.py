"""Separates media events from messages that cannot be handled."""

from collections.abc import Sequence

from visionops_assets.catalog.batches import Problem
from visionops_assets.contracts import MediaEvent
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.stages.dead_letters import parse

MAX_EVENT_BYTES = 256 * 1024
"""An event has less than one KiB."""


def parse_events(
    queued: Sequence[QueuedEvent],
) -> tuple[list[tuple[int, MediaEvent]], dict[int, Problem]]:
    """Split messages into `(offset, event)` pairs, and the problems of all others by offset."""
    oversized = {
        message.offset: Problem("oversized_event", f"It has {len(message.value):,} bytes.")
        for message in queued
        if len(message.value) > MAX_EVENT_BYTES
    }
    small = [message for message in queued if message.offset not in oversized]
    events, problems = parse(small, MediaEvent, "unreadable_event")
    return events, problems | oversized
