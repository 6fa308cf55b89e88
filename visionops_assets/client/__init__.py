"""What speaks to our services from outside, as any client of the company would: over HTTP."""

from visionops_assets.client.gateway import (
    GatewayClient,
    PredictedImage,
    RefusedImage,
    StreamedFrame,
)

__all__ = ["GatewayClient", "PredictedImage", "RefusedImage", "StreamedFrame"]
