"""Reads a multipart form (RFC 7578) as it comes. Only small fields are held; nothing is spooled."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.services.http.server import FORM_TYPE

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 4096
MAX_PARTS = 1_100
"""A batch has 500 files, as many parts about them, and a few fields."""


def is_form(request: Request) -> bool:
    """Say whether the body says that it is a multipart form."""
    return request.headers.get("content-type", "").lower().startswith(FORM_TYPE)


@dataclass(frozen=True)
class Part:
    """The head of one part: a file if it has a file name."""

    name: str
    filename: str | None


class FormReader:
    """Yields the parts of a form in turn; between two of them, the bytes of the first.

    Raises:
        InvalidRequestError: from every method, if the body is no well-formed form.
        VisionOpsError: from every method, once the body has raised it.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidRequestError("The Content-Type of the form names no boundary.")
        self._body = body
        self._failure: VisionOpsError | None = None
        self._events: deque[Part | bytes | None] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = b"", b""
        self._in_part = False
        self._parts = 0
        self._is_complete = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
            "on_part_end": lambda: self._events.append(None),
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise InvalidRequestError(f"The form's boundary cannot be used: {error}.") from None

    async def next_part(self) -> Part | None:
        """Skip the rest of the current part, and return the next one; None at the end."""
        async for _ in self.chunks():
            pass
        event = await self._next_event()
        self._in_part = isinstance(event, Part)
        return event if isinstance(event, Part) else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the current part that were not read yet."""
        while self._in_part:
            event = await self._next_event()
            if isinstance(event, bytes):
                yield event
            else:
                self._in_part = False

    async def text(self, part: Part) -> str:
        """Read a part that is a field."""
        value = bytearray()
        async for chunk in self.chunks():
            value += chunk
            if len(value) > MAX_FIELD_BYTES:
                raise InvalidRequestError(f"{part.name}: more than {MAX_FIELD_BYTES} bytes.")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(f"{part.name}: not in UTF-8.") from None

    async def _next_event(self) -> Part | bytes | None:
        while not self._events:
            data = await self._next_bytes()
            if data is None:
                if not self._is_complete:
                    raise InvalidRequestError("The form ends before its last boundary.")
                return None
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise InvalidRequestError(f"The form is malformed: {error}.") from None
        return self._events.popleft()

    async def _next_bytes(self) -> bytes | None:
        # After an error a generator only ends, as if the form had been cut off.
        if self._failure:
            raise self._failure
        try:
            return await anext(self._body, None)
        except VisionOpsError as error:
            self._failure = error
            raise

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name, self._header_value = b"", b""

    def _on_headers_finished(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequestError(f"The form has more than {MAX_PARTS} parts.")
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        self._events.append(
            Part(
                name=options.get(b"name", b"").decode(errors="replace"),
                filename=None if filename is None else filename.decode(errors="replace"),
            )
        )

    def _on_end(self) -> None:
        self._is_complete = True
