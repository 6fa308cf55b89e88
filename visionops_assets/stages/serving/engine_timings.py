"""Kernel timings of TensorRT builds, kept for the next build.

engine-timings/<target>/   timing.cache, and a signed manifest
"""

from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.manifest import read_folder, write_folder
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.vision.tensorrt_target import Target

TIMINGS_FILE = "timing.cache"


def read_timings(object_store: ObjectStore, target: Target) -> bytes:
    """Return the kernel timings of earlier builds for a target, empty if they cannot be used."""
    try:
        return read_folder(object_store, _timings_prefix(target))[TIMINGS_FILE]
    except ReleaseError:
        # Another build may be writing them just now; they only save time.
        return b""


def write_timings(object_store: ObjectStore, target: Target, timings: bytes) -> None:
    """Keep kernel timings for the next build."""
    write_folder(object_store, _timings_prefix(target), {TIMINGS_FILE: timings})


def _timings_prefix(target: Target) -> str:
    return f"engine-timings/{target.slug}/"
