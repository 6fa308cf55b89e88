"""Clients of our services, which speak to them from outside, over HTTP."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionops_assets.client.gateway import (
        GatewayClient,
        PredictedImage,
        RefusedImage,
        StreamedFrame,
    )

__all__ = ["GatewayClient", "PredictedImage", "RefusedImage", "StreamedFrame"]


def __getattr__(name: str) -> Any:
    """Import the gateway's client once it is asked for: commands that need a folder do not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from visionops_assets.client import gateway  # noqa: PLC0415 - HTTPX is slow to import

    return getattr(gateway, name)
