"""Images in a file, mapped into memory: the system keeps the pages that it has room for.

Files lie on the disk of the local state, since a temporary folder may be memory itself. They have
no name while they are used, so that none is left behind.
"""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from visionops_assets.errors import NoRoomError
from visionops_assets.settings import settings_home
from visionops_assets.vision.selection import Images

COPIED_AT_ONCE = 256
"""Images."""
FORGOTTEN_AFTER_S = 7 * 86_400
"""Of a process that was killed while it wrote: no training lasts longer."""


@contextmanager
def scratch_file(name: str) -> Iterator[Path]:
    """Yield the path of a file of this name to be, for the length of the block.

    Raises:
        NoRoomError: the disk was full within the block.
    """
    folder = settings_home() / "scratch"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _remove_forgotten(folder)
    with _told(folder), tempfile.TemporaryDirectory(dir=folder) as own:
        yield Path(own) / name


def empty_images(count: int, size_px: int) -> np.ndarray:
    """Make room for images, uint8 (count, S, S, 3), to be filled.

    Raises:
        NoRoomError: the disk has too little.
    """
    with scratch_file("images.npy") as path:
        return _reserved(path, (count, size_px, size_px, 3))


def save_images(path: Path, images: Images) -> None:
    """Write images as `.npy`, some at a time."""
    file = _reserved(path, (len(images), *images[:0].shape[1:]))
    for start in range(0, len(images), COPIED_AT_ONCE):
        part = slice(start, start + COPIED_AT_ONCE)
        file[part] = images[part]
    file.flush()


def open_images(path: Path) -> np.ndarray:
    """Map a `.npy` file of images; they stay readable when it is removed.

    Raises:
        ValueError: it is another file.
    """
    return np.lib.format.open_memmap(path, mode="r")


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Map a new file whose bytes are there: a write to one that is not would end the process."""
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return images


def _remove_forgotten(folder: Path) -> None:
    for path in folder.glob("*/*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                path.unlink()
                path.parent.rmdir()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise NoRoomError(
            f"The disk of {folder} is full. Make room there, or move the local state to a larger "
            "disk (VISIONOPS_HOME)."
        ) from None
