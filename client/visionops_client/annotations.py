"""Annotations over HTTP: what a file or a prediction shows, said by either service alike."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from visionops_client.connection import Connection, read_as
from visionops_client.errors import ServerUnreachableError
from visionops_client.records import Answer
from visionops_client.retrying import Retrying

Said = str | Sequence[str] | Mapping[str, Any]
"""One label; several, for a model that gives several; or a payload in the form of a task."""


class GivenAnnotation(Answer):
    """An annotation as it was added. Without a `model` it is for each that looks at the file."""

    annotation_id: int
    model: str | None
    start_s: float | None
    end_s: float | None
    annotation: Mapping[str, Any]
    author: str | None
    origin: str
    created_at: datetime


class _GivenAnnotations(Answer):
    annotations: tuple[GivenAnnotation, ...]


class RefusedLine(Answer):
    """A line that was not taken, counted from 1, and why."""

    line: int
    code: str
    detail: str


class TakenLines(Answer):
    """The result of many annotations. Of the refused ones the first 1,000 are listed."""

    lines: int
    added: int
    unchanged: int
    refused: int
    refusals: tuple[RefusedLine, ...]


def give(
    connection: Connection, retrying: Retrying, path: str, said: Said, params: Mapping[str, Any]
) -> GivenAnnotation:
    """Say something of the file or the prediction at a path; see `IngestClient.annotate_media`."""
    told = _told(params)
    answer = retrying.call(lambda: connection.send("PUT", path, json=_payload(said), params=told))
    return read_as(GivenAnnotation, answer)


def take_back(
    connection: Connection, retrying: Retrying, path: str, params: Mapping[str, Any]
) -> None:
    """Take back what was said of it, for this model and this part."""
    told = _told(params)
    retrying.call(lambda: connection.send("DELETE", path, params=told))


def list_all(connection: Connection, retrying: Retrying, path: str) -> tuple[GivenAnnotation, ...]:
    """Return what was said of it, newest first."""
    answer = retrying.call(lambda: connection.send("GET", path))
    return read_as(_GivenAnnotations, answer).annotations


def give_many(
    connection: Connection,
    retrying: Retrying,
    path: str,
    lines: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
) -> TakenLines:
    """Say something of many files; see `GatewayClient.annotate_files`."""
    body = "".join(f"{json.dumps(dict(line))}\n" for line in lines).encode()
    told, headers = _told(params), {"Content-Type": "application/x-ndjson"}
    answer = retrying.call(
        lambda: connection.send("POST", path, content=body, params=told, headers=headers)
    )
    return read_as(TakenLines, answer)


def list_many(
    connection: Connection, path: str, params: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what counts of all files; see `GatewayClient.annotations_of_files`."""
    try:
        for line in connection.lines(path, params=_told(params)):
            yield json.loads(line)
    except ValueError:
        raise ServerUnreachableError(
            f"{connection.url} does not answer as VisionOps does."
        ) from None


def _payload(said: Said) -> Mapping[str, Any]:
    if isinstance(said, Mapping):
        return said
    return {"label": said} if isinstance(said, str) else {"labels": list(said)}


def _told(params: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: "true" if value is True else str(value)
        for name, value in params.items()
        if value is not None and value is not False
    }
