"""Counts and times for Prometheus, kept by the gateway."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, generate_latest

from visionops_assets.contracts import Arm
from visionops_assets.services.http.request_metrics import RequestMetrics, service_registry

REJECTIONS = ("in_flight", "memory", "streams", "breaker", "triton_queue")


class GatewayMetrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = service_registry()
        self.requests = RequestMetrics("gateway", self._registry)
        self._rejected = self._counter(
            "rejected", "Predictions refused to protect the service, by reason.", "reason"
        )
        self._arms = self._counter(
            "rollout", "Requests of each arm of a rollout, by their result.", "arm", "outcome"
        )
        self._skipped = self._counter(
            "rollout_skipped", "Images that were not compared because too many others were."
        )
        self._frames = self._counter("stream_frames", "Frames of streams by outcome.", "outcome")
        self._start_at_zero()

    def watch(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Show a number that is read at each scrape."""
        gauge = Gauge(f"visionops_gateway_{name}", documentation, registry=self._registry)
        gauge.set_function(value)

    def count_rejected(self, reason: str) -> None:
        """Count a prediction that was refused without asking Triton, or by its full queue."""
        self._rejected.labels(reason).inc()

    def count_arm(self, arm: Arm, outcome: str) -> None:
        """Count the result of a request of one arm."""
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

    def _start_at_zero(self) -> None:
        """Show counts of 0: a count that appears with its first event has no rate."""
        for reason in REJECTIONS:
            self._rejected.labels(reason)
        for arm in Arm:
            for outcome in ("answered", "failed"):
                self._arms.labels(arm.value, outcome)
        self._frames.labels("predicted")

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"visionops_gateway_{name}", documentation, labels, registry=self._registry)
