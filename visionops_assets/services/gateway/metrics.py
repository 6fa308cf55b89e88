"""What the gateway counts and times, for Prometheus."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visionops_assets.contracts import Arm

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_ROUTE = "none"
"""One value for all unknown paths: a scanner must not make a time series a path."""


class GatewayMetrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Requests answered.", "method", "route", "status"
        )
        self._latency = Histogram(
            "visionops_gateway_request_seconds",
            "From the request's first byte to the answer's last.",
            ["route"],
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._rejected = self._counter(
            "rejected", "Predictions refused to protect the service, by reason.", "reason"
        )
        self._arms = self._counter(
            "rollout", "What became of requests of each arm of a rollout.", "arm", "outcome"
        )
        self._skipped = self._counter(
            "rollout_skipped", "Images that were not compared because too many others were."
        )
        self._frames = self._counter("stream_frames", "Frames of streams by outcome.", "outcome")
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        gauge = Gauge(f"visionops_gateway_{name}", documentation, registry=self._registry)
        gauge.set_function(value)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Add one answered request."""
        # Looking a label up costs more than counting.
        found = self._children.get((method, route, status))
        if found is None:
            counter = self._requests.labels(method, route, str(status))
            found = self._children[method, route, status] = counter, self._latency.labels(route)
        counter, latency = found
        counter.inc()
        latency.observe(seconds)

    def count_rejected(self, reason: str) -> None:
        """Count a prediction that was refused without asking Triton, or by its full queue."""
        self._rejected.labels(reason).inc()

    def count_arm(self, arm: Arm, outcome: str) -> None:
        """Count what became of a request of one arm."""
        self._arms.labels(arm.value, outcome).inc()

    def count_skipped(self) -> None:
        """Count an image that only one arm got."""
        self._skipped.inc()

    def count_frame(self, outcome: str) -> None:
        """Count a frame: `predicted`, or the code of its refusal."""
        self._frames.labels(outcome).inc()

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"visionops_gateway_{name}", documentation, labels, registry=self._registry)


class MetricsMiddleware:
    """Observes every HTTP request, also those that fail."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            seconds = time.perf_counter() - started_s
            self._metrics.observe(scope["method"], route, status, seconds)
