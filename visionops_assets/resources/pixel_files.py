"""Files of pixels on the disk of the local state, since a temporary folder may be memory itself.

They have no name while they are used, so that none is left behind.
"""

import errno
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from visionops_assets.errors import NoRoomError
from visionops_assets.settings import settings_home

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
    with told_if_full(folder), tempfile.TemporaryDirectory(dir=folder) as own:
        yield Path(own) / name


def open_images(path: Path) -> np.ndarray:
    """Map a `.npy` file of images; they stay readable when it is removed.

    Raises:
        ValueError: it is another file.
    """
    return np.lib.format.open_memmap(path, mode="r")


def _remove_forgotten(folder: Path) -> None:
    for path in folder.glob("*/*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                path.unlink()
                path.parent.rmdir()


@contextmanager
def told_if_full(folder: Path) -> Iterator[None]:
    """Say within the block that the disk of a folder is full.

    Raises:
        NoRoomError: it was.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise NoRoomError(
            f"The disk of {folder} is full. Make room there, or move the local state to a larger "
            "disk (VISIONOPS_HOME)."
        ) from None
