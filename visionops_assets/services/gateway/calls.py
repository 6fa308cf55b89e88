"""One gRPC call of a client: the same middleware, keys and errors as an HTTP request has.

gRPC is HTTP/2, and a call's metadata are headers. So a call is shown to our middleware as the
request that it is: the client's address behind trusted proxies, the request's id, its log line and
its counts are found in one place.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from visionops_assets.errors import InvalidLengthError, SlowBodyError, VisionOpsError
from visionops_assets.services.http.problems import detail_of, retry_after_s, status_of
from visionops_assets.services.http.request_metrics import MetricsMiddleware, RequestMetrics
from visionops_assets.services.http.server import RequestLog, client_of
from visionops_assets.services.http.slow_refusals import SlowRefusals

CODE_KEY, RETRY_AFTER_KEY = "visionops-code", "retry-after"
CLIENT_CLOSED_REQUEST = 499
"""nginx's status of a request whose client did not wait for the answer. It is no failure of ours"""

STATUS_CODES: Mapping[HTTPStatus, grpc.StatusCode] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: grpc.StatusCode.ABORTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.INTERNAL_SERVER_ERROR: grpc.StatusCode.INTERNAL,
    HTTPStatus.BAD_GATEWAY: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By the HTTP status of an error. Triton says INVALID_ARGUMENT of every image that is of no use."""

_CALL = "visionops.call"
_log = logging.getLogger(__name__)

Method = Callable[["Call"], Awaitable[Any]]
"""Answers a call with a message, or raises."""


@dataclass
class Call:
    """A call under way, and its end: an answer or a failure, and headers."""

    context: Any
    scope: Scope
    method: Method
    answer: Any = None
    failure: VisionOpsError | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def connection(self) -> HTTPConnection:
        """Return the call as a request: its headers, and the client's address."""
        return HTTPConnection(self.scope)

    def left_s(self) -> float:
        """Return the time until the client's deadline; infinite without one."""
        left_s = self.context.time_remaining()
        return math.inf if left_s is None else max(0.0, left_s)

    async def message(self, patience_s: float) -> bytes:
        """Read the call's message, which the client may send from now on.

        Raises:
            SlowBodyError: it did not come in time.
            InvalidLengthError: the call ended without it.
        """
        try:
            async with asyncio.timeout(patience_s):
                message = await self.context.read()
        except TimeoutError:
            raise SlowBodyError(f"The message did not come within {patience_s:.3g} s.") from None
        if message is grpc.aio.EOF:
            raise InvalidLengthError("The call has no message, or one that is too large.")
        return bytes(message)


class Calls:
    """Takes calls of methods, and ends each with an answer or a status."""

    def __init__(self, metrics: RequestMetrics, trusted_proxies: str) -> None:
        app: ASGIApp = SlowRefusals(RequestLog(MetricsMiddleware(_answer, metrics)), client_of)
        # Anybody may write the header, and guesses are counted by address.
        self._app: Any = app
        if trusted_proxies:
            self._app = ProxyHeadersMiddleware(cast("Any", app), trusted_proxies)

    def handler(self, path: str, method: Method) -> Any:
        """Return gRPC's handler of a method."""
        route = SimpleNamespace(path=path)

        async def handle(_messages: Any, context: Any) -> Any:
            call = Call(context, _scope_of(context, path, route), method)
            await self._run(call)
            if call.failure is None:
                context.set_trailing_metadata(call.headers)
                return call.answer
            error = call.failure
            call.headers.append((CODE_KEY, error.code))
            if (again_s := retry_after_s(error)) is not None:
                call.headers.append((RETRY_AFTER_KEY, str(again_s)))
            # The message begins with the code, as in the messages of the served model.
            text = f"{error.code}: {detail_of(error)}"
            return await context.abort(STATUS_CODES[status_of(error)], text, tuple(call.headers))

        return reading_itself(handle)

    async def _run(self, call: Call) -> None:
        async def receive() -> Message:
            raise NotImplementedError  # The message is read by the method.

        async def send(message: Message) -> None:
            call.headers = [
                (name.decode().lower(), value.decode()) for name, value in message["headers"]
            ]

        call.scope[_CALL] = call
        await self._app(call.scope, receive, send)


def reading_itself(handle: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """Return gRPC's handler of a method with one message and one answer.

    To gRPC it is one with a stream of messages. On the wire that is the same, and the method reads
    its message itself: after the client's key was checked, or never.
    """
    return grpc.stream_unary_rpc_method_handler(
        handle, response_serializer=lambda answer: answer.SerializeToString()
    )


async def _answer(scope: Scope, _receive: Receive, send: Send) -> None:
    """Run a call's method, the application within the middleware."""
    call: Call = scope[_CALL]
    status: int = HTTPStatus.OK
    try:
        call.answer = await call.method(call)
    except VisionOpsError as error:
        call.failure = error
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s: %s", error.code, error)
    except asyncio.CancelledError:
        status = CLIENT_CLOSED_REQUEST
        raise
    except Exception:  # Whatever it is, the client gets a status, and no stack trace.
        _log.exception("A call failed.")
        call.failure = VisionOpsError()
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    finally:
        await send({"type": "http.response.start", "status": int(status), "headers": []})


def _scope_of(context: Any, path: str, route: SimpleNamespace) -> Scope:
    """Show a call as an ASGI request."""
    headers = [
        (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for name, value in context.invocation_metadata() or ()
    ]
    return {
        "type": "http",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "headers": headers,
        "client": _client(context.peer()),
        "route": route,
    }


def _client(peer: str) -> tuple[str, int] | None:
    """Read gRPC's name of the other side, such as `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`.

    It is empty if the client has gone.
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None
