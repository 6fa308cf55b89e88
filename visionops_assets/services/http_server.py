"""What the HTTP services share: how they listen and to whom, request ids, a limit on bodies.

Not here: answers to errors (`problems.py`).
"""

import logging
import re
import time
from http import HTTPStatus
from urllib.parse import urlsplit
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visionops_assets.services.logs import configure_logging, request_id
from visionops_assets.services.problems import problem

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
REQUEST_ID_HEADER = "X-Request-ID"
SHUTDOWN_PATIENCE_S = 10
FORM_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 64 * 1024
"""Room in a form for boundaries, part headers and other fields than its file."""

_ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Probes and scrapes come every few seconds and say nothing.
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_KEY_PREFIX = "key_prefix"

_log = logging.getLogger(__name__)


def serve(app: FastAPI, url: str) -> None:
    """Listen on the host and port of `url` until SIGTERM; requests under way are finished."""
    configure_logging()
    address = urlsplit(url)
    guarded = LoopbackOnly(app) if address.hostname in LOOPBACK_HOSTS else app
    uvicorn.run(
        guarded,
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_PATIENCE_S,
    )


class LoopbackOnly:
    """Middleware of a service on loopback: refuses what a web page of elsewhere sends it.

    A browser lets any page post to 127.0.0.1, and a page whose name was rebound to 127.0.0.1 read
    the answer too; the first shows in `Origin`, the second in `Host`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if not _is_loopback(f"//{headers.get('host', '')}") or (
                origin is not None and not _is_loopback(origin)
            ):
                detail = "This service listens to this machine only, not to pages of other hosts."
                answer = problem(HTTPStatus.FORBIDDEN, "foreign_origin", detail)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOOPBACK_HOSTS
    except ValueError:  # Not an address at all.
        return False


class RequestLog:
    """Middleware: gives each request an id, returns it in `X-Request-ID`, logs one line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. A caller's own id is kept if it is short and plain."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        current = given if _ACCEPTED_REQUEST_ID.fullmatch(given) else uuid4().hex
        status = 500
        started_s = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = current
            await send(message)

        scope.setdefault("state", {})
        token = request_id.set(current)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _QUIET_PATHS:
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "key": scope["state"].get(_KEY_PREFIX),
                    "status": status,
                    "latency_ms": round((time.perf_counter() - started_s) * 1000, 1),
                }
                _log.info("request", extra={"fields": fields})
            request_id.reset(token)


def note_key_prefix(scope: Scope, prefix: str) -> None:
    """Let the request's log line say which API key it came with, by the key's public part."""
    scope.setdefault("state", {})[_KEY_PREFIX] = prefix


class BodyLimit:
    """Middleware: refuses a request body with more than `max_bytes`, read or announced.

    Without it a body would be spooled to disk whole before any handler can measure it.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, counting the bytes of its body as they are read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        header = Headers(scope=scope).get("content-length", "")
        announced_bytes = int(header) if header.isdecimal() else 0
        body_bytes = 0

        async def receive_counted() -> Message:
            nonlocal body_bytes
            message = await receive()
            body_bytes += len(message.get("body", b""))
            if max(body_bytes, announced_bytes) > self._max_bytes:
                raise HTTPException(413, f"The body has more than {self._max_bytes:,} bytes.")
            return message

        await self._app(scope, receive_counted, send)
