"""The gateway's gRPC port, its limits, and its health, which needs no key.

Methods of the protocol that are not here, nor in `grpc_methods.py`, are UNIMPLEMENTED.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from visionops_assets.errors import SettingsError
from visionops_assets.services.gateway.calls import Calls, reading_itself
from visionops_assets.services.gateway.grpc_methods import GrpcMethods, max_message_bytes
from visionops_assets.services.http.health import Readiness
from visionops_assets.services.http.request_metrics import RequestMetrics
from visionops_assets.settings import Settings

SERVICE = "inference.GRPCInferenceService"
MAX_CALLS = 1_000
MAX_STREAMS = 256
"""Calls under way of one connection. A proxy makes another connection for more."""
MAX_CONNECTIONS = 500
STREAM_WINDOW_BYTES = 256 * 1024
"""Bytes of a call that come before its message is read: those of a small image."""
CONNECTION_MINUTES, IDLE_MINUTES = 10, 5
"""A connection ends after the first, so that connections come to replicas that were added, or after
the second without a call."""
DRAIN_S = 10.0

_OPTIONS = (
    # Else a second gateway would listen on the same port, and take every other connection.
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
    # Without probing, a window does not grow before a message is read.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", IDLE_MINUTES * 60_000),
    ("grpc.max_connection_age_ms", CONNECTION_MINUTES * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    # A client that vanished ends no connection.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class GrpcDoor:
    """Listens for calls, within one event loop. `port` is known once it is open."""

    def __init__(
        self,
        methods: GrpcMethods,
        readiness: Readiness,
        metrics: RequestMetrics,
        settings: Settings,
    ) -> None:
        self.port = 0
        self._methods = methods
        self._readiness = readiness
        self._settings = settings
        self._server: Any = None
        self._calls = Calls(metrics, settings.trusted_proxies)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen for the length of the block; calls under way are finished.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        limit = ("grpc.max_receive_message_length", max_message_bytes(self._settings))
        self._server = grpc.aio.server(
            handlers=[grpc.method_handlers_generic_handler(SERVICE, self._handlers())],
            options=[*_OPTIONS, limit],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        address = self._settings.gateway_grpc_address
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise SettingsError(
                f"VISIONOPS_GATEWAY_GRPC_ADDRESS: {address!r} cannot be listened on. Is the port "
                "taken?"
            ) from None
        await self._server.start()
        try:
            yield
        finally:
            await self.drain()

    async def drain(self) -> None:
        """Take no more calls, and wait for those under way."""
        if self._server is not None:
            await self._server.stop(DRAIN_S)

    def _handlers(self) -> dict[str, Any]:
        keyed = {
            name: self._calls.handler(f"/{SERVICE}/{name}", method)
            for name, method in self._methods.by_name().items()
        }
        health = {"ServerLive": self._server_live, "ServerReady": self._server_ready}
        return keyed | {name: reading_itself(method) for name, method in health.items()}

    async def _server_live(self, _messages: Any, _context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    async def _server_ready(self, _messages: Any, _context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=not await self._readiness.failing())
