"""A disk for the store of a stack alone, which can be filled: a tmpfs. Only root can mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOM_MB = 8_192
"""More than a run needs; memory is taken by what is written alone."""


class Disk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room: the disk becomes as small as what is on it. That takes no memory."""
        seen = os.statvfs(self.folder)
        self._resize((seen.f_blocks - seen.f_bfree) * seen.f_frsize // 1024)

    def empty(self) -> None:
        """Make room again."""
        self._resize(ROOM_MB * 1024)

    def _resize(self, kilobytes: int) -> None:
        options = f"remount,size={kilobytes}k"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk | None]:
    """Mount a disk on a folder for the length of the block; None where that is not allowed."""
    folder.mkdir(parents=True, mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m,mode=700", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
