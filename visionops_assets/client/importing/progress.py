"""Shows people the progress of an import: a bar, or lines where there is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from visionops_assets.client.importing.importer import Watcher

LINE_EVERY_S = 5.0


@contextmanager
def watching(console: Console, files: int, total_bytes: int) -> Iterator[Watcher]:
    """Show the progress of an import, in files and bytes, for the length of the block."""
    if not console.is_terminal:
        yield Lines(console.print, files, total_bytes)
        return
    columns = (
        BarColumn(bar_width=None),
        TextColumn("{task.fields[files]}/{task.fields[of]} files, {task.fields[rate]:.1f}/s"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, files, total_bytes)


class _Bar:
    """A bar over the bytes, with the files beside it."""

    def __init__(self, progress: Progress, files: int, total_bytes: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total_bytes, files=0, of=files, rate=0.0)
        self._started_s = time.monotonic()
        self._files = 0

    def sent(self, size_bytes: int) -> None:
        self._progress.advance(self._task, size_bytes)

    def settled(self) -> None:
        self._files += 1
        rate = self._files / (time.monotonic() - self._started_s)
        self._progress.update(self._task, files=self._files, rate=rate)


@dataclass
class Lines:
    """A line every 5 s, and one for the last file."""

    show: Callable[[str], None]
    files: int
    total_bytes: int
    clock_s: Callable[[], float] = time.monotonic
    _files: int = 0
    _bytes: int = 0
    _started_s: float = field(init=False)
    _shown_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self._shown_s = self.clock_s()

    def sent(self, size_bytes: int) -> None:
        """Count bytes. A race of threads may spoil the count, which is only shown."""
        self._bytes += size_bytes

    def settled(self) -> None:
        """Count a file, and show a line if it is time."""
        self._files += 1
        now_s = self.clock_s()
        if self._files < self.files and now_s - self._shown_s < LINE_EVERY_S:
            return
        self._shown_s = now_s
        files_per_s = self._files / max(now_s - self._started_s, 1e-9)
        left_s = (self.files - self._files) / files_per_s
        self.show(
            f"{self._files:,} of {self.files:,} files, "
            f"{decimal(self._bytes)} of {decimal(self.total_bytes)}, "
            f"{files_per_s:,.1f} files/s, {left_s:.0f} s left"
        )
