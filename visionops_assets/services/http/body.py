"""The body of a request as a stream: of the announced length, and fast enough."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from visionops_assets.errors import InvalidLengthError, SlowBodyError, TooLargeError

_Model = TypeVar("_Model", bound=BaseModel)

MIN_BODY_BYTES_PER_S = 1024
"""A body that is slower on average, after the first wait, only holds a connection."""


def announced_bytes(request: Request) -> int | None:
    """Return the Content-Length, or None for a chunked body.

    Raises:
        InvalidLengthError: there is neither, or it is no number.
    """
    if "chunked" in request.headers.get("transfer-encoding", "").lower():
        return None
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise InvalidLengthError(
            "The request has no usable Content-Length. Send one, or a chunked body."
        )
    return int(length)


def body_of(request: Request, *, max_bytes: int, idle_timeout_s: float) -> AsyncIterator[bytes]:
    """Return the pieces of a body as they come. The announced length is checked at once.

    Raises:
        InvalidLengthError: its length is missing; from the pieces: it ended before.
        TooLargeError: it announces more than `max_bytes`; from the pieces: it has more.
        SlowBodyError: from the pieces: the next bytes did not come in time.
    """
    expected_bytes = announced_bytes(request)
    if expected_bytes is not None and expected_bytes > max_bytes:
        raise _too_large(max_bytes)
    return _pieces(request, max_bytes, idle_timeout_s)


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    """Read a body into memory."""
    return b"".join([piece async for piece in pieces])


def read_json(model: type[_Model], body: bytes) -> _Model:
    """Read a body by its model, as the framework would.

    Raises:
        RequestValidationError: it does not fit.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        invalid = error.errors(include_input=False, include_context=False)
        problems = [{**problem, "loc": ("body", *problem["loc"])} for problem in invalid]
        raise RequestValidationError(problems) from None


async def _pieces(request: Request, max_bytes: int, idle_timeout_s: float) -> AsyncIterator[bytes]:
    received_bytes = 0
    waited_s = 0.0  # The time for storing is not the client's fault.
    pieces = request.stream()
    while True:
        slowest_s = idle_timeout_s + received_bytes / MIN_BODY_BYTES_PER_S
        asked_at_s = time.monotonic()
        try:
            async with asyncio.timeout(min(idle_timeout_s, slowest_s - waited_s)):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SlowBodyError(
                f"No more bytes came within {idle_timeout_s:g} s, or too few. Send the request "
                "again; for a slow connection ingest has resumable uploads."
            ) from None
        except ClientDisconnect:
            raise InvalidLengthError("The body ended before its announced length.") from None
        if piece is None:
            return
        waited_s += time.monotonic() - asked_at_s
        received_bytes += len(piece)
        if received_bytes > max_bytes:
            raise _too_large(max_bytes)
        if piece:
            yield piece


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"The body has more than {max_bytes:,} bytes.")
