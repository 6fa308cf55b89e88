"""Bodies of requests, in pieces, for the tests of ingest; and a client that sends them oddly."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise
from typing import Any

from fastapi import Request
from starlette.types import Message

PNG_HEAD = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0"

DISCONNECT = None


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces as a body would."""
    for piece in pieces:
        yield piece


async def collected(chunks: AsyncIterator[bytes]) -> list[bytes]:
    """Read it whole."""
    return [chunk async for chunk in chunks]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut at these places, as far as they lie in the data; together the pieces are the data."""
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


class Sender:
    """Sends the body of one request: pieces, pauses in seconds, and perhaps a disconnection."""

    def __init__(
        self, script: Sequence[bytes | float | None], headers: dict[str, str] | None = None
    ) -> None:
        self._script = list(script)
        self.messages = 0
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": raw}
        self.request = Request(scope, self._receive)

    async def _receive(self) -> Message:
        while self._script and isinstance(pause_s := self._script[0], float):
            self._script.pop(0)
            await asyncio.sleep(pause_s)
        self.messages += 1
        piece = self._script.pop(0) if self._script else b""
        if piece is DISCONNECT:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self._script)}
