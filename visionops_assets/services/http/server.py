"""Shared parts of the HTTP services: listening, ending, middleware, request ids.

Not here: answers to errors (`problems.py`), bodies of requests (`body.py`, `forms.py`).
"""

import logging
import random
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visionops_assets.errors import UnsupportedMediaError
from visionops_assets.services.http.connections import GuardedProtocol, max_connections
from visionops_assets.services.http.problems import problem
from visionops_assets.services.http.slow_refusals import SlowRefusals
from visionops_assets.services.logs import configure_logging, request_id
from visionops_assets.settings import load_settings

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
REQUEST_ID_HEADER = "X-Request-ID"
SHUTDOWN_PATIENCE_S = 10
STARTUP_FAILED = 3
MAX_MESSAGE_BYTES = 16 * 1024**2
"""Limit of one message of a WebSocket."""
FORM_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 64 * 1024
"""Room in a form for boundaries, part headers and other fields than its file."""

IDENTITY = "identity"
"""The one Content-Encoding of a body: none."""

_ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Probes and scrapes come every few seconds and say nothing.
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_KEY_PREFIX = "key_prefix"

_log = logging.getLogger(__name__)


def serve(app: FastAPI, url: str, drain: Callable[[], Awaitable[None]] | None = None) -> None:
    """Listen on the host and port of `url` until SIGTERM; requests under way are finished.

    `drain` is awaited first. It ends work that would not end by itself, such as streams.
    """
    configure_logging()
    address = urlsplit(url)
    guarded: ASGIApp = PlainBodies(SlowRefusals(app, client_of))
    if address.hostname in LOOPBACK_HOSTS:
        guarded = LoopbackOnly(guarded)
    proxies = load_settings().trusted_proxies
    GuardedProtocol.max_connections = max_connections()
    config = uvicorn.Config(
        guarded,
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        http=GuardedProtocol,
        # Anybody may write the header, and guesses are counted by address.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_PATIENCE_S,
        ws_max_size=MAX_MESSAGE_BYTES,
        # It does not make images smaller.
        ws_per_message_deflate=False,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_denial)
    server = _Server(config, drain)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILED)


def _is_no_denial(record: logging.LogRecord) -> bool:
    # Uvicorn logs this as an error for each handshake that was answered with a problem.
    return record.msg != "ASGI callable returned without completing handshake."


class _Server(uvicorn.Server):
    """Lets streams end before it ends their connections."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and end."""
        if self._drain is not None:
            for server in self.servers:
                server.close()
            await self._drain()
        await super().shutdown(sockets)


class LoopbackOnly:
    """Middleware of a service on loopback: refuses requests of foreign web pages.

    A browser lets any page post to 127.0.0.1; `Origin` shows that. If a page's name was rebound to
    127.0.0.1, the page can read the answer, too; `Host` shows that.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] in {"http", "websocket"}:
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


class PlainBodies:
    """Middleware: refuses a compressed body, since nothing here would unpack it.

    RFC 9110, sections 8.4 and 15.5.16: 415, and `Accept-Encoding` says what is accepted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            given = ",".join(Headers(scope=scope).getlist("content-encoding"))
            if {name.strip().lower() for name in given.split(",")} - {"", IDENTITY}:
                answer = problem(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    UnsupportedMediaError.code,
                    "The Content-Encoding is not accepted. Send the body as it is.",
                    # The body is not read.
                    {"Accept-Encoding": IDENTITY, "Connection": "close"},
                )
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
        current = given if _ACCEPTED_REQUEST_ID.fullmatch(given) else _new_request_id()
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


def _new_request_id() -> str:
    return f"{random.getrandbits(128):032x}"


def client_of(scope: Scope) -> str:
    """Name who sent a request that was answered: a valid key by its public part, or an address."""
    key: str | None = scope.get("state", {}).get(_KEY_PREFIX)
    return key or (scope["client"][0] if scope["client"] else "unknown")


def note_key_prefix(scope: Scope, prefix: str) -> None:
    """Add the public part of the request's API key to its log line."""
    scope.setdefault("state", {})[_KEY_PREFIX] = prefix
