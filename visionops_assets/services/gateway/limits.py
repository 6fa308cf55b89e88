"""The limits that all models of one Triton share: sizes, turns of costly images, and breakers."""

from dataclasses import dataclass
from typing import Self

from visionops_assets.services.gateway.breaker import Breakers, CircuitBreaker
from visionops_assets.services.gateway.line import Line
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.shares import Windows
from visionops_assets.settings import Settings, usable_cores


@dataclass(frozen=True)
class Limits:
    """The largest image, the line that costly ones wait in, and each client's circuit breaker."""

    max_bytes: int
    max_pixels: int
    turns: Line[float]
    breakers: Breakers

    @classmethod
    def of(cls, settings: Settings, metrics: GatewayMetrics) -> Self:
        """Take the limits from the settings, and show the state of the breakers."""
        breakers = Breakers(
            lambda: CircuitBreaker(
                settings.gateway_breaker_failures,
                settings.gateway_breaker_open_s,
                lambda: metrics.count_rejected("breaker"),
            )
        )
        metrics.watch(
            "breaker_state",
            "Circuit breaker before Triton: 0 closed, 1 half open, 2 open.",
            breakers.worst_state,
        )
        return cls(
            max_bytes=settings.max_predicted_image_bytes,
            max_pixels=settings.max_predicted_image_pixels,
            turns=Line(Windows(settings.gateway_max_costly or max(1, usable_cores() // 2))),
            breakers=breakers,
        )
