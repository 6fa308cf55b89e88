"""Counts and times of the requests that a service answered: the same in every service."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_ROUTE = "none"
"""One value for all unknown paths: a scanner must not make a time series per path."""
FAILURES = ("500", "503")
"""From its first request on, every route has counts of these.

A series that appears with 1 between two scrapes has no rate, and without any series the share of
failures would be unknown, not 0.
"""


def service_registry() -> CollectorRegistry:
    """Make a registry that holds the CPU time, memory and open files of this process (Linux)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class RequestMetrics:
    """`visionops_<service>_requests_total` and `visionops_<service>_request_seconds`.

    With `from_last_byte` the time begins once the whole request is there: the service cannot help
    it if a client sends a large body slowly.
    """

    def __init__(
        self, service: str, registry: CollectorRegistry, *, from_last_byte: bool = False
    ) -> None:
        self.from_last_byte = from_last_byte
        self._requests = Counter(
            f"visionops_{service}_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            f"visionops_{service}_request_seconds",
            f"From the request's {'last' if from_last_byte else 'first'} byte to the answer's "
            "last.",
            ["route"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Add one answered request."""
        # To look up a label costs more than to count.
        found = self._children.get((method, route, status))
        if found is None:
            for failure in FAILURES:
                self._requests.labels(method, route, failure)
            counter = self._requests.labels(method, route, str(status))
            found = self._children[method, route, status] = counter, self._latency.labels(route)
        counter, latency = found
        counter.inc()
        latency.observe(seconds)


class MetricsMiddleware:
    """Observes every HTTP request, also those that fail."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started_s = time.perf_counter()

        async def receive_noting_end() -> Message:
            nonlocal started_s
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                started_s = time.perf_counter()
            return message

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        noting = receive_noting_end if self._metrics.from_last_byte else receive
        try:
            await self._app(scope, noting, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            seconds = time.perf_counter() - started_s
            self._metrics.observe(scope["method"], route, status, seconds)
