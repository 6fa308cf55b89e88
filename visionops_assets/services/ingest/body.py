"""The body of a request as a stream: as long as it says, as fast as it must be."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from visionops_assets.errors import InvalidLengthError, SlowBodyError, TooLargeError

MIN_BODY_BYTES_PER_S = 1024
"""Slower than this on average, after the first wait, a body only holds a connection."""


def announced_bytes(request: Request) -> int | None:
    """Return the Content-Length, or None of a body that is sent in chunks of its own.

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


async def body_of(
    request: Request, *, max_bytes: int, idle_timeout_s: float
) -> AsyncIterator[bytes]:
    """Yield the pieces of a body as they come.

    Raises:
        InvalidLengthError: its length is missing, or it ended before.
        TooLargeError: it announces or has more than `max_bytes`; announced, nothing is read.
        SlowBodyError: the next bytes did not come in time.
    """
    expected_bytes = announced_bytes(request)
    if expected_bytes is not None and expected_bytes > max_bytes:
        raise TooLargeError(f"The body has more than {max_bytes:,} bytes.")
    received_bytes = 0
    started_s = time.monotonic()
    pieces = request.stream()
    while True:
        slowest_s = started_s + idle_timeout_s + received_bytes / MIN_BODY_BYTES_PER_S
        wait_s = min(idle_timeout_s, slowest_s - time.monotonic())
        try:
            async with asyncio.timeout(wait_s):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SlowBodyError(
                f"No more bytes came within {wait_s:.0f} s. Send the request again; for a slow "
                "connection there are resumable uploads."
            ) from None
        except ClientDisconnect:
            raise InvalidLengthError("The body ended before its announced length.") from None
        if piece is None:
            return
        received_bytes += len(piece)
        if received_bytes > max_bytes:
            raise TooLargeError(f"The body has more than {max_bytes:,} bytes.")
        if piece:
            yield piece
