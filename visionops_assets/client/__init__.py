"""Clients of our services, which speak to them from outside, over HTTP."""

from visionops_assets.client.gateway import (
    GatewayClient,
    PredictedImage,
    RefusedImage,
    StreamedFrame,
)

__all__ = ["GatewayClient", "PredictedImage", "RefusedImage", "StreamedFrame"]
