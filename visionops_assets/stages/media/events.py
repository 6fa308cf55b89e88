"""Telling media events from messages that cannot be handled."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from visionops_assets.catalog.batches import OffsetRange, Problem
from visionops_assets.contracts import DeadLetter, MediaEvent
from visionops_assets.resources.broker import QueuedEvent

MAX_EVENT_BYTES = 256 * 1024
"""An event has less than one KiB. A dead letter must fit into a message of the queue (1 MB)."""


def parse_events(
    queued: Sequence[QueuedEvent],
) -> tuple[list[tuple[int, MediaEvent]], dict[int, Problem]]:
    """Split messages into `(offset, event)` pairs and, by offset, why one is no event."""
    events: list[tuple[int, MediaEvent]] = []
    problems: dict[int, Problem] = {}
    for message in queued:
        size_bytes = len(message.value)
        if size_bytes > MAX_EVENT_BYTES:
            detail = (
                f"The message has {size_bytes:,} bytes; the first {MAX_EVENT_BYTES:,} are kept."
            )
            problems[message.offset] = Problem("oversized_event", detail)
            continue
        try:
            events.append((message.offset, MediaEvent.model_validate_json(message.value)))
        except ValidationError as error:
            problems[message.offset] = Problem("unreadable_event", _first_fault(error))
    return events, problems


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = first["loc"][0] if first["loc"] else None
    fault = f"{field}: {first['msg']}" if field in MediaEvent.model_fields else first["msg"]
    # Some faults quote the message, and PostgreSQL stores no NUL.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in fault)


def dead_letters(
    offsets: OffsetRange, queued: Sequence[QueuedEvent], problems: dict[int, Problem]
) -> list[DeadLetter]:
    """Make dead letters of the messages with a problem, in their order."""
    return [
        DeadLetter(
            topic=offsets.topic,
            partition=offsets.partition,
            offset=message.offset,
            value=base64.b64encode(message.value[:MAX_EVENT_BYTES]),
            code=problems[message.offset].code,
            detail=problems[message.offset].detail,
            failed_at=datetime.now(UTC),
        )
        for message in queued
        if message.offset in problems
    ]
