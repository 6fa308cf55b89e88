"""VisionOps: media in, a served model out, every step a Dagster asset."""

from typing import Any

__all__ = ["VisionModel"]


def __getattr__(name: str) -> Any:
    """Import the component when Dagster asks for it: services never import Dagster."""
    if name != "VisionModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from visionops_assets.component import VisionModel  # noqa: PLC0415

    return VisionModel
