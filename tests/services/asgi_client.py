"""Calls an ASGI application in process, as an HTTP client would: no server, no port."""

from typing import Any

import anyio
import httpx


class AsgiClient:
    """Errors that escape the application are what its server would answer: a 500."""

    def __init__(self, app: Any, headers: dict[str, str] | None = None) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._headers = headers

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://service", headers=self._headers
            ) as client:
                return await client.request(method, path, **options)

        return anyio.run(call)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)
