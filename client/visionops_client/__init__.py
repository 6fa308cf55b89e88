"""Clients of VisionOps: send media, ask for predictions, label them.

VisionOpsError
├── SettingsError             the address cannot be used
├── ContentChangedError       a file changed while it was being sent
├── RefusedError              a service refused for good: status, reason, detail
└── ServerUnreachableError    not answered in time
    └── TemporaryError        it may be tried again
"""

from typing import TYPE_CHECKING, Any

from visionops_client.errors import (
    ContentChangedError,
    RefusedError,
    ServerUnreachableError,
    SettingsError,
    VisionOpsError,
)

if TYPE_CHECKING:
    from visionops_client.annotations import GivenAnnotation
    from visionops_client.answers import Receipt
    from visionops_client.gateway import GatewayClient
    from visionops_client.ingest import IngestClient
    from visionops_client.predictions import (
        GivenLabel,
        ModelDescription,
        PredictedImage,
        RefusedImage,
        StreamedFrame,
    )
    from visionops_client.retrying import TemporaryError
    from visionops_client.several import SmallFile

__all__ = [
    "ContentChangedError",
    "GatewayClient",
    "GivenAnnotation",
    "GivenLabel",
    "IngestClient",
    "ModelDescription",
    "PredictedImage",
    "Receipt",
    "RefusedError",
    "RefusedImage",
    "ServerUnreachableError",
    "SettingsError",
    "SmallFile",
    "StreamedFrame",
    "TemporaryError",
    "VisionOpsError",
]

_HELD_BY = {
    "GatewayClient": "gateway",
    "GivenAnnotation": "annotations",
    "GivenLabel": "predictions",
    "IngestClient": "ingest",
    "ModelDescription": "predictions",
    "PredictedImage": "predictions",
    "Receipt": "answers",
    "RefusedImage": "predictions",
    "SmallFile": "several",
    "StreamedFrame": "predictions",
    "TemporaryError": "retrying",
}


def __getattr__(name: str) -> Any:
    """Import a client once it is asked for: HTTPX is slow to import, and errors need none."""
    if name not in _HELD_BY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"visionops_client.{_HELD_BY[name]}"), name)
