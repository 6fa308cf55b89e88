"""Uploads in pieces, by tus 1.0.0: an interruption costs the piece it came in, not the whole file.

https://tus.io/protocols/resumable-upload
"""

import base64
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus

import httpx

from visionops_client.answers import BegunUpload, FinishedUpload, Receipt
from visionops_client.connection import Connection, not_ours, read_as
from visionops_client.content import Content
from visionops_client.errors import RefusedError
from visionops_client.retrying import Retrying, TemporaryError

PIECE_BYTES = 16 * 1024**2
"""Twice what the service stores at once. Each piece has its own time for retries."""

_TUS = {"Tus-Resumable": "1.0.0"}


def upload_in_pieces(
    connection: Connection, retrying: Retrying, content: Content, described: Mapping[str, str]
) -> Receipt:
    """Upload a file, and return once all of it is acknowledged.

    Raises:
        RefusedError: the service refuses this file, or the upload has expired.
        TemporaryError: a piece was not acknowledged in time.
        ContentChangedError: the file changed while it was read.
    """
    headers = _TUS | {
        "Upload-Length": str(content.size_bytes),
        "Upload-Metadata": ",".join(f"{name} {_base64(v)}" for name, v in described.items()),
    }
    begun = retrying.call(lambda: connection.send("POST", "/v1/uploads", headers=headers))
    upload_id = read_as(BegunUpload, begun).upload_id
    upload = _Upload(connection, f"/v1/uploads/{upload_id}", content)
    while upload.offset != content.size_bytes:
        retrying.call(upload.send_piece)
    finished = retrying.call(lambda: connection.send("GET", upload.path))
    return read_as(FinishedUpload, finished).receipt


class _Upload:
    """One upload under way. `offset` is where it stands; None if only the service knows."""

    def __init__(self, connection: Connection, path: str, content: Content) -> None:
        self.path = path
        self.offset: int | None = 0
        self._connection = connection
        self._content = content

    def send_piece(self) -> None:
        """Send the next piece, from where the service says that the upload stands."""
        start = self._stands_at() if self.offset is None else self.offset
        self.offset = None
        stop = min(start + PIECE_BYTES, self._content.size_bytes)
        self.offset = start if start == stop else _offset(self._patch(start, stop))

    def _stands_at(self) -> int:
        return _offset(self._connection.send("HEAD", self.path, headers=_TUS))

    def _patch(self, start: int, stop: int) -> httpx.Response:
        headers = _TUS | {
            "Upload-Offset": str(start),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(stop - start),
        }
        try:
            with closing(self._content.chunks(start, stop)) as chunks:
                return self._connection.send("PATCH", self.path, headers=headers, content=chunks)
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            # An attempt that got no answer here may have gone on there.
            raise TemporaryError(f"{self._connection.url}: {error.detail}") from error


def _offset(response: httpx.Response) -> int:
    try:
        return int(response.headers["Upload-Offset"])
    except (KeyError, ValueError):
        raise not_ours(response) from None


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
