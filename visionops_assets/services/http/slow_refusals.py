"""Middleware: who comes again sooner than it was told waits for its next refusal.

A refusal costs little, but a client that answers each at once by its next request takes a core with
refusals alone. The first refusal of a client is given at once.
"""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAUSE_S = 1.0
"""Between two refusals of a client that come at once. It is told no shorter `Retry-After`."""
MAX_CLIENTS = 10_000
"""Remembered at a time. Further ones are refused at once."""


class SlowRefusals:
    """Gives a client one answer 429 (RFC 6585) at once, and lets others wait for `PAUSE_S`.

    `client_of` names the client of a request that was answered. An answer that waits holds only
    its connection: the request's place and memory are free already.
    """

    def __init__(
        self,
        app: ASGIApp,
        client_of: Callable[[Scope], str],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._client_of = client_of
        self._clock_s = clock_s
        self._next_at_s: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and let its refusal wait if it is one too many."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_slowly(message: Message) -> None:
            if message.get("status") == HTTPStatus.TOO_MANY_REQUESTS:
                await asyncio.sleep(self._pause_s(self._client_of(scope)))
            await send(message)

        await self._app(scope, receive, send_slowly)

    def _pause_s(self, client: str) -> float:
        """Return how long this refusal of a client waits."""
        now_s = self._clock_s()
        next_at_s = self._next_at_s.get(client, 0.0)
        if next_at_s > now_s:
            return next_at_s - now_s
        if len(self._next_at_s) >= MAX_CLIENTS:
            self._next_at_s = {
                other: at_s for other, at_s in self._next_at_s.items() if at_s > now_s
            }
        if len(self._next_at_s) < MAX_CLIENTS:
            self._next_at_s[client] = now_s + PAUSE_S
        return 0.0
