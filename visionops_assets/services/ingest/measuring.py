"""Measures an upload while it passes by: size, SHA-256 and type. Pure; holds one chunk."""

import hashlib
from collections.abc import Iterator
from typing import IO

from visionops_assets.catalog.media import StoredContent
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import TooLargeError
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

CHUNK_BYTES = 1024 * 1024


class MeasuredUpload:
    """The chunks of one upload, measured as they are taken.

    `file` is a buffered file: a read returns fewer bytes than asked for only at the end.
    """

    def __init__(self, file: IO[bytes], max_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._chunk_bytes = max(chunk_bytes, SNIFF_BYTES)
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._type: tuple[MediaKind, str] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, at least one chunk; what is refused is never yielded whole.

        Raises:
            EmptyMediaError: there are no bytes.
            UnsupportedMediaError: the first bytes are of no accepted container.
            TooLargeError: there are more than `max_bytes`.
        """
        chunk = self._file.read(self._chunk_bytes)
        self._type = sniff(chunk[:SNIFF_BYTES])
        while chunk:
            self._bytes += len(chunk)
            if self._bytes > self._max_bytes:
                raise TooLargeError(f"The file has more than {self._max_bytes:,} bytes.")
            self._sha256.update(chunk)
            yield chunk
            chunk = self._file.read(self._chunk_bytes)

    def content(self) -> StoredContent:
        """Return the measurements. Only once `chunks` is exhausted are they of the whole file."""
        if self._type is None:
            raise RuntimeError("content() was called before chunks() was read")
        kind, content_type = self._type
        return StoredContent(kind, content_type, self._sha256.hexdigest(), self._bytes)
