"""The client of ingest: one call per upload, sent again until it is acknowledged."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
from pydantic import SecretStr

from visionops_client import annotations
from visionops_client.annotations import GivenAnnotation, Said
from visionops_client.answers import Receipt
from visionops_client.connection import Connection, ServiceClient, read_as
from visionops_client.content import Content, as_content
from visionops_client.errors import RefusedError, ServerUnreachableError
from visionops_client.resumable import upload_in_pieces
from visionops_client.retrying import Retrying
from visionops_client.several import SmallFile, upload_several

__all__ = ["IN_PIECES_ABOVE_BYTES", "IngestClient", "Receipt"]

MAX_FILENAME_CHARACTERS = 255
IN_PIECES_ABOVE_BYTES = 64 * 1024**2
"""Larger files are uploaded in pieces: sending them again from the start would cost too much."""


class IngestClient(ServiceClient):
    """Uploads to one ingest service. Safe to use from several threads.

    `timeout_s` is for connecting, and for each wait for the server to read or to answer;
    `retry_for_s` is how long one upload is tried, from its first attempt to its last.

    Raises:
        SettingsError: `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | str | None,
        *,
        timeout_s: float = 60.0,
        retry_for_s: float = 300.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        secret = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._connection = Connection(url, secret, timeout_s, transport)
        self._retrying = Retrying(retry_for_s)

    def close(self) -> None:
        """Close the connections."""
        self.stop_retrying()
        self._connection.close()

    def stop_retrying(self) -> None:
        """Let requests under way end, and repeat none of them."""
        self._retrying.stop()

    def check(self) -> None:
        """Ask once whether the service answers.

        Raises:
            ServerUnreachableError: it does not.
        """
        try:
            self._connection.send("GET", "/healthz")
        except RefusedError as error:
            raise ServerUnreachableError(
                f"{self._connection.url} is no VisionOps service, or it is unwell: {error}"
            ) from error

    def upload(
        self,
        content: bytes | Path | Content,
        *,
        source: str,
        filename: str | None = None,
        captured_at: datetime | None = None,
        label: str | None = None,
        model: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Upload a file, streamed, and return once it is acknowledged.

        Several labels are separated by commas, where a model gives several. `model` is the one that
        the label is for, if it is not for each that looks at the source.

        Raises:
            RefusedError: the service refuses this file or this key.
            ServerUnreachableError: not acknowledged within `retry_for_s`.
            ContentChangedError: the file changed while it was read.
            OSError: the file cannot be read.
        """
        body = as_content(content)
        described = {"source": source} | said_of(filename, captured_at, label, model)
        if body.size_bytes > IN_PIECES_ABOVE_BYTES and idempotency_key is None:
            return upload_in_pieces(self._connection, self._retrying, body, described)
        return self._upload_at_once(body, described, idempotency_key)

    def upload_several(
        self, files: Sequence[SmallFile], source: str
    ) -> list[Receipt | RefusedError]:
        """Upload small files in one request; return the receipt or the refusal of each.

        Raises:
            RefusedError: the service refuses the whole request, and took none of the files.
            ServerUnreachableError: not acknowledged within `retry_for_s`.
        """
        return upload_several(self._connection, self._retrying, files, source)

    def annotate_media(
        self,
        media_id: UUID,
        said: Said | None,
        *,
        model: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        new_classes: bool = False,
    ) -> GivenAnnotation | None:
        """Say what a stored file shows; None takes back, and returns None.

        It is for `model`, or the default one; of the part of a video from `start_s` to `end_s`, or
        of the whole file. `new_classes` lets it name classes that the model does not have.

        Raises:
            RefusedError: the service does not know the file, or refuses this annotation or key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        path = _annotations_of(media_id)
        params = {"model": model, "start_s": start_s, "end_s": end_s}
        if said is None:
            annotations.take_back(self._connection, self._retrying, path, params)
            return None
        told = params | {"new_classes": new_classes}
        return annotations.give(self._connection, self._retrying, path, said, told)

    def annotations_of_media(self, media_id: UUID) -> tuple[GivenAnnotation, ...]:
        """Return what was said of a stored file, newest first.

        Raises:
            RefusedError: the service does not know the file, or refuses this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        return annotations.list_all(self._connection, self._retrying, _annotations_of(media_id))

    def _upload_at_once(
        self, body: Content, described: dict[str, str], idempotency_key: str | None
    ) -> Receipt:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(body.size_bytes),
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key

        def attempt() -> httpx.Response:
            with closing(body.chunks()) as chunks:
                return self._connection.send(
                    "POST", "/v1/media", params=described, headers=headers, content=chunks
                )

        return read_as(Receipt, self._retrying.call(attempt))


def _annotations_of(media_id: UUID) -> str:
    return f"/v1/media/{media_id}/annotation"


def said_of(
    filename: str | None, captured_at: datetime | None, label: str | None, model: str | None = None
) -> dict[str, str]:
    """Return the facts about a file as ingest reads them, without those that are not known."""
    said = {
        "filename": _shown_name(filename) if filename else None,
        "captured_at": _in_utc(captured_at) if captured_at else None,
        "label": label,
        "model": model,
    }
    return {name: value for name, value in said.items() if value is not None}


def _shown_name(filename: str) -> str:
    """Make a name of any bytes fit for a URL; a long one keeps its end, with the extension."""
    return filename.encode(errors="replace").decode()[-MAX_FILENAME_CHARACTERS:]


def _in_utc(time: datetime) -> str:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
