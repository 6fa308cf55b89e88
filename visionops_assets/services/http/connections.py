"""Connections of an HTTP service: limits of their number, and of time and size of heads.

Uvicorn waits for the head of a request for ever, and keeps all that comes. Its protocol of
`httptools` takes half the CPU time per request of that of `h11`, so the limits are added to it
here.
"""

import resource
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from visionops_assets.services.http.problems import problem

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers together, and of the trailers of a chunked body."""
HEAD_TIMEOUT_S = 10.0
"""From the first wait for a head to its end. An idle connection that was used has 5 s (uvicorn)."""
MAX_CONNECTIONS = 2_000
SPARE_FILES = 200
"""Open files of a service besides its connections: catalog, store, Triton, logs."""
WANTED_FILES = MAX_CONNECTIONS + SPARE_FILES
WEBSOCKET_VERSION = b"13"


def max_connections() -> int:
    """Raise the limit of open files, and return the number of connections that it allows.

    The number of open files is limited per process, and a service that reaches it can accept no
    connection, nor open a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED_FILES if hard < 0 else min(WANTED_FILES, hard)
    if 0 <= soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return max(1, (WANTED_FILES if soft < 0 else min(soft, WANTED_FILES)) - SPARE_FILES)


class _Refused(Exception):  # noqa: N818 - it leaves this module for the parser alone
    """The head is too large; this ends the parser."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. If there are too many, the one that has waited longest for its head ends."""

    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._parsed_bytes = 0
        self._unparsed_bytes = 0
        # All connections of a server share it. They are in the order in which they began to wait.
        self._waiting: dict[GuardedProtocol, None] = vars(self.server_state).setdefault(
            "visionops_waiting", {}
        )

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Accept a connection; if there are too many, an idle one ends."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections and not self._make_room():
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_connections",
                f"{self.max_connections} connections are open. Try again soon.",
            )
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes that came."""
        if self.parser is None or self.transport.is_closing():
            return
        if self._head_timer is None and self._awaits_head():
            self._await_head()
        parsed_before = self._parsed_bytes
        super().data_received(data)
        # The parser keeps a header until it is complete, and reports it only then.
        is_stuck = self._parsed_bytes == parsed_before
        self._unparsed_bytes = self._unparsed_bytes + len(data) if is_stuck else 0
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin with a request."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer of a chunked body."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application handle the request."""
        self._parsed_bytes += 1
        self._in_head = False
        self._head_is_there()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._parsed_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Await the next head."""
        self._parsed_bytes += 1
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Count a connection that waits for its next request as one that may be closed."""
        super().on_response_complete()
        if self._awaits_head() and not self.transport.is_closing():
            self._waiting[self] = None

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless its handshake is not valid."""
        headers = dict(self.headers)
        is_usable = self.scope["method"] == "GET" and headers.get(b"sec-websocket-key")
        if not is_usable or headers.get(b"sec-websocket-version") != WEBSOCKET_VERSION:
            self.send_400_response(
                "This is not a handshake of a WebSocket (RFC 6455, section 4.1)."
            )
            return
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that the parser did not understand."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed_request", msg)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which no further request came."""
        self._head_is_there()
        super().timeout_keep_alive_handler()

    def _count_head(self, count: int) -> None:
        self._parsed_bytes += count
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _Refused

    def _awaits_head(self) -> bool:
        """Say whether no request is under way. The start of a next one may have come."""
        return self._in_head and (self.cycle is None or self.cycle.response_complete)

    def _await_head(self) -> None:
        self._waiting[self] = None
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._on_slow_head)

    def _head_is_there(self) -> None:
        self._waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _make_room(self) -> bool:
        """Close the connection that has waited longest; say whether there was one."""
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        longest._head_is_there()
        longest.transport.abort()
        return True

    def _on_slow_head(self) -> None:
        self._head_timer = None
        if not (self._head_bytes or self._unparsed_bytes):
            # A browser that connects in advance does nothing wrong.
            self._head_is_there()
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                "slow_head",
                f"The head of the request was not there within {HEAD_TIMEOUT_S:g} s.",
            )

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            f"The head of the request has more than {MAX_HEAD_BYTES:,} bytes.",
        )

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Answer without the application, and close."""
        self._head_is_there()
        if self.cycle is not None and self.cycle.response_started and not self._awaits_head():
            self.transport.abort()  # An answer is under way: a second one cannot be put into it.
            return
        answer = problem(status, code, detail, {"Connection": "close"})
        headers = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        self.transport.write(line + headers + b"\r\n" + bytes(answer.body))
        self.transport.close()
