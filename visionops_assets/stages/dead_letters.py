"""Messages of the queue: read as records, or told apart as dead letters."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from visionops_assets.catalog.batches import Problem
from visionops_assets.contracts import DeadLetter
from visionops_assets.resources.topic_reader import QueuedEvent

KEPT_BYTES = 640 * 1024
"""Of a message: in Base64, a dead letter must fit into a message of the queue (1 MB)."""
UNREADABLE = "unreadable_message"
"""The code of a message whose bytes the queue could not give: its letter has none."""

Read = TypeVar("Read", bound=BaseModel)


def parse(
    queued: Sequence[QueuedEvent], record: type[Read], code: str
) -> tuple[list[tuple[int, Read]], dict[int, Problem]]:
    """Split messages into `(offset, record)` pairs and, by offset, problems of this code."""
    parsed: list[tuple[int, Read]] = []
    problems: dict[int, Problem] = {}
    for message in queued:
        if message.fault is not None:
            problems[message.offset] = Problem(UNREADABLE, printable(message.fault))
            continue
        try:
            parsed.append((message.offset, record.model_validate_json(message.value)))
        except ValidationError as error:
            problems[message.offset] = Problem(code, _first_fault(error, record))
    return parsed, problems


def _first_fault(error: ValidationError, record: type[BaseModel]) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = first["loc"][0] if first["loc"] else None
    return printable(f"{field}: {first['msg']}" if field in record.model_fields else first["msg"])


def printable(text: str) -> str:
    """Replace what no terminal shows. Some faults quote the message; PostgreSQL stores no NUL."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def letters_of(
    log: str, partition: int, queued: Sequence[QueuedEvent], problems: Mapping[int, Problem]
) -> list[DeadLetter]:
    """Make dead letters of the messages with a problem, in their order. `log` names their log."""
    return [
        DeadLetter(
            topic=log,
            partition=partition,
            offset=message.offset,
            value=base64.b64encode(message.value[:KEPT_BYTES]),
            code=problems[message.offset].code,
            detail=problems[message.offset].detail,
            failed_at=datetime.now(UTC),
        )
        for message in queued
        if message.offset in problems
    ]
