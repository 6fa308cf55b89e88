"""Annotations over HTTP: what a file or a prediction shows, said by either service alike."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from visionops_client.connection import Connection, read_as
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
