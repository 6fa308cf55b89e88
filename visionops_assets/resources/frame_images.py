"""Frames of shards as images: decoded when they are first asked for, and kept on the disk.

The file has no name, so it ends with the process. It is read, not mapped: pages that were touched
would count as memory of the process.
"""

import os
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.errors import NoRoomError
from visionops_assets.resources.pixel_files import scratch_file, told_if_full
from visionops_assets.settings import load_settings, usable_cores
from visionops_assets.vision.preprocessing import decode_frame

Rows = npt.NDArray[np.int64]
LOADED_AT_ONCE = 64
"""Frames that one thread fetches and decodes together: of 224 px, some 4 MB encoded."""
MAX_THREADS = 6
LEAST_KEPT = 1_024
"""Frames that the disk must have room for: more than all threads load at once."""
SHARE_OF_DISK = 0.9


class FrameImages:
    """N frames, uint8 (S, S, 3) in RGB, as `vision.selection.Images` has them.

    `read` gives encoded frames by their rows, which are in the order in which they lie. As many
    are kept as the setting `frame_cache_bytes` and the disk allow; of more, those that were loaded
    first make room.

    Raises:
        NoRoomError: the disk has too little room for `LEAST_KEPT` frames.
    """

    def __init__(self, read: Callable[[Rows], list[bytes]], count: int, size_px: int) -> None:
        self._read, self._count = read, count
        self._shape = (size_px, size_px, 3)
        self._bytes = size_px * size_px * 3
        self._changed = threading.Condition()
        self._slot = np.full(count, -1, np.int64)
        self._is_coming = np.zeros(count, np.bool_)
        self._loaded: deque[Rows] = deque()
        self._used = 0
        self._free: list[int] = []
        with scratch_file("frames") as path:
            self._folder = path.parent.parent
            self._capacity = self._room()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        weakref.finalize(self, os.close, self._file)
        threads = min(usable_cores(), MAX_THREADS)
        self._now = ThreadPoolExecutor(threads, "frames-now")
        self._ahead = ThreadPoolExecutor(max(1, threads // 2), "frames-ahead")

    def __len__(self) -> int:
        """Return N."""
        return self._count

    def __getitem__(self, chosen: Any, /) -> Any:
        """Return the frames that are named, as a copy.

        Raises:
            DamagedFramesError: some of them cannot be read.
        """
        if isinstance(chosen, int | np.integer):
            return self._images(np.array([range(self._count)[chosen]]))[0]
        if isinstance(chosen, slice):
            return self._images(np.arange(*chosen.indices(self._count)))
        return self._images(np.asarray(chosen, np.int64))

    def prefetch(self, rows: Rows) -> None:
        """Load frames (M) in the background, in the order of their rows."""
        me = weakref.ref(self)
        for part in self._parts(np.unique(rows)):
            self._ahead.submit(_load_if_wanted, me, part)

    def _room(self) -> int:
        free = int(shutil.disk_usage(self._folder).free * SHARE_OF_DISK)
        most = min(load_settings().frame_cache_bytes, free)
        frames = min(self._count, most // self._bytes)
        if frames < min(self._count, LEAST_KEPT):
            raise NoRoomError(
                f"There is room for {frames:,} frames of {self._shape[0]} px in {self._folder}. "
                f"Make some for {LEAST_KEPT:,} there, move the local state to a larger disk "
                "(VISIONOPS_HOME), or raise VISIONOPS_FRAME_CACHE_BYTES."
            )
        return frames

    def _parts(self, rows: Rows) -> list[Rows]:
        missing = rows[self._slot[rows] < 0]
        return [
            missing[start : start + LOADED_AT_ONCE]
            for start in range(0, len(missing), LOADED_AT_ONCE)
        ]

    def _images(self, rows: Rows) -> npt.NDArray[np.uint8]:
        images = np.empty((len(rows), *self._shape), np.uint8)
        step = max(1, self._capacity // 4)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            while not self._copied(rows[part], images[part]):
                # Each raises what it could not read.
                list(self._now.map(self._load, self._parts(np.unique(rows[part]))))
        return images

    def _copied(self, rows: Rows, into: npt.NDArray[np.uint8]) -> bool:
        """Copy frames, if all of them are there."""
        with self._changed:  # None of them may be pushed out meanwhile.
            slots = self._slot[rows]
            if (slots < 0).any():
                return False
            for slot, image in zip(slots.tolist(), into, strict=True):
                os.preadv(self._file, [image], slot * self._bytes)
            return True

    def _load(self, rows: Rows) -> None:
        """Load those of some frames that nobody else loads; wait for the others."""
        with self._changed:
            mine = rows[(self._slot[rows] < 0) & ~self._is_coming[rows]]
            self._is_coming[mine] = True
        try:
            if len(mine):
                frames = np.empty((len(mine), *self._shape), np.uint8)
                for frame, encoded in zip(frames, self._read(mine), strict=True):
                    frame[:] = decode_frame(encoded)
                self._keep(mine, frames)
        finally:
            with self._changed:
                self._is_coming[mine] = False
                self._changed.notify_all()
        with self._changed:
            self._changed.wait_for(lambda: not self._is_coming[rows].any())

    def _keep(self, rows: Rows, frames: npt.NDArray[np.uint8]) -> None:
        slots = self._reserved(len(rows))
        try:
            with told_if_full(self._folder):
                for slot, frame in zip(slots.tolist(), frames, strict=True):
                    os.pwrite(self._file, frame, slot * self._bytes)
        except BaseException:
            with self._changed:
                self._free += slots.tolist()
            raise
        with self._changed:
            self._slot[rows] = slots
            self._loaded.append(rows)

    def _reserved(self, count: int) -> Rows:
        """Return slots to write to: new ones, or those of the frames that came first."""
        with self._changed:
            slots, self._free = self._free[:count], self._free[count:]
            fresh = min(count - len(slots), self._capacity - self._used)
            slots += range(self._used, self._used + fresh)
            self._used += fresh
            while len(slots) < count:
                leaving = self._loaded.popleft()
                taken, kept = np.split(leaving, [count - len(slots)])
                slots += self._slot[taken].tolist()
                self._slot[taken] = -1
                if len(kept):
                    self._loaded.appendleft(kept)
            return np.array(slots, np.int64)


def _load_if_wanted(images: "weakref.ref[FrameImages]", rows: Rows) -> None:
    """Load frames, unless nobody holds the images any more. Failures show when they are read."""
    held = images()
    if held is not None:
        held._load(rows)
