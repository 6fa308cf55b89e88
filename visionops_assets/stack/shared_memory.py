"""Shared memory of the models of one stack's Triton, apart from that of any other stack."""

import hashlib
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is


def shared_memory_prefix(home: Path) -> str:
    """Return how the names of this stack's shared memory begin."""
    return "visionops_" + hashlib.sha256(str(home).encode()).hexdigest()[:12]


def remove_shared_memory(home: Path) -> None:
    """Remove shared memory that a killed Triton left. Call this only while it does not run."""
    for region in _FOLDER.glob(shared_memory_prefix(home) + "*"):
        region.unlink(missing_ok=True)
