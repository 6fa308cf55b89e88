"""Clients of servers that are not ours, and the import of whole folders and buckets.

The clients of our services are a package of their own, `visionops_client`.
"""

import warnings
from typing import Any

_MOVED = frozenset({"GatewayClient", "PredictedImage", "RefusedImage", "StreamedFrame"})


def __getattr__(name: str) -> Any:
    """Return what this room held until version 0.1; the next one has it in the package alone."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import visionops_client  # noqa: PLC0415 - HTTPX is slow to import

    warnings.warn(
        f"Import {name} from visionops_client; visionops_assets.client will not have it.",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(visionops_client, name)
