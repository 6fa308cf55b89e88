"""Opens WebSockets of an ASGI application in process: no server, no port. One event loop a test."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_S = 5.0


class AsgiWebSocket:
    """One connection, from the client's side. `closed` is the code and the reason of its end."""

    def __init__(self, app: Any, url: str, headers: Mapping[str, str]) -> None:
        path, _, query = url.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self.closed: tuple[int, str] | None = None
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._to_app.get, self._from_app.put))

    def send(self, **message: Any) -> None:
        """Send a message, as `bytes` or as `text`."""
        self._to_app.put_nowait({"type": "websocket.receive", **message})

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the application."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self._from_app.get()
        if message["type"] == "websocket.close":
            self.closed = message["code"], message.get("reason") or ""
        return message

    async def answers(self, count: int) -> list[dict[str, Any]]:
        """Return the next JSON messages."""
        return [json.loads((await self.receive())["text"]) for _ in range(count)]

    async def refusal(self) -> tuple[int, str]:
        """Return the status and the problem's code of a handshake that was refused."""
        status = (await self.receive())["status"]
        return status, json.loads((await self.receive())["body"])["code"]

    async def leave(self) -> None:
        """Close it, as a client does, and wait for the application to notice."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(PATIENCE_S):
            await self.task


@asynccontextmanager
async def opened(app: Any, url: str, headers: Mapping[str, str]) -> AsyncIterator[AsgiWebSocket]:
    """Open one that is accepted, for the length of the block."""
    websocket = AsgiWebSocket(app, url, headers)
    assert (await websocket.receive())["type"] == "websocket.accept"
    yield websocket
    await websocket.leave()
