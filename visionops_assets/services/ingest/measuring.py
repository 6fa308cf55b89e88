"""Measures an upload while it passes: size, SHA-256 and type. Pure; holds one chunk."""

import hashlib
from collections.abc import AsyncIterator

from visionops_assets.catalog.uploads import StoredContent
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import TooLargeError
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

CHUNK_BYTES = 1024 * 1024
"""The bytes of an upload that are held; the header of an image is checked within them."""


async def in_chunks(body: AsyncIterator[bytes], chunk_bytes: int) -> AsyncIterator[bytes]:
    """Join the pieces of a body into chunks of `chunk_bytes`; only the last one is smaller."""
    pieces: list[bytes] = []
    held = 0
    async for piece in body:
        pieces.append(piece)
        held += len(piece)
        if held >= chunk_bytes:
            joined = b"".join(pieces)
            whole = held - held % chunk_bytes
            for start in range(0, whole, chunk_bytes):
                yield joined[start : start + chunk_bytes]
            pieces, held = [joined[whole:]], held - whole
    if held:
        yield b"".join(pieces)


class MeasuredUpload:
    """The chunks of one upload, measured as they are taken."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        max_bytes: int,
        max_pixels: int,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._chunk_bytes = max(chunk_bytes, SNIFF_BYTES)
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._type: tuple[MediaKind, str] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content, at least one chunk. A refused file is never yielded completely.

        Raises:
            EmptyMediaError: there are no bytes.
            UnsupportedMediaError: the first bytes are not those of an accepted container.
            UnsupportedEncodingError: an image is of a coding that is not decoded.
            TooManyPixelsError: the header declares an image above the limit.
            TooLargeError: there are more than `max_bytes`.
        """
        async for chunk in in_chunks(self._body, self._chunk_bytes):
            self._bytes += len(chunk)
            if self._bytes > self._max_bytes:
                raise TooLargeError(f"The file has more than {self._max_bytes:,} bytes.")
            if self._type is None:
                self._look_at(chunk)
            self._sha256.update(chunk)
            yield chunk
        if self._type is None:
            sniff(b"")

    def content(self) -> StoredContent:
        """Return the measurements. They are of the whole file only once `chunks` is exhausted."""
        if self._type is None:
            raise RuntimeError("content() was called before chunks() was read")
        kind, content_type = self._type
        return StoredContent(kind, content_type, self._sha256.hexdigest(), self._bytes)

    def _look_at(self, head: bytes) -> None:
        self._type = sniff(head[:SNIFF_BYTES])
        if self._type[0] is MediaKind.IMAGE:
            check_image_header(head, max_pixels=self._max_pixels, has_second_decoder=True)
