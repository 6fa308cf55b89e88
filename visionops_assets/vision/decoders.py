"""Names the libraries that decode media, with their versions, for the record."""

from functools import cache
from importlib.metadata import version

from visionops_assets.contracts import MediaKind

# PyAV's wheel holds FFmpeg: one version means one FFmpeg.
_PACKAGES = {
    MediaKind.IMAGE: ("opencv-python-headless", "pillow", "pi-heif"),
    MediaKind.VIDEO: ("av",),
}


@cache
def decoder_of(kind: MediaKind) -> str:
    """Return the packages that decode files of a kind, such as `av 15.1.0`."""
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES[kind])
