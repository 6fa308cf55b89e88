"""Reads the declarations of a stored video by a few ranged reads. Runs inside the sandbox."""

import io
from collections.abc import Callable

from visionops_assets.errors import (
    CorruptMediaError,
    NoFramesError,
    NoVideoStreamError,
    UnsupportedCodecError,
)
from visionops_assets.vision.inspection import VideoFacts
from visionops_assets.vision.reading import ReadableFile
from visionops_assets.vision.sandbox.messages import MAX_PROBE_BLOCKS, READ_BLOCK_BYTES
from visionops_assets.vision.truncation import check_whole
from visionops_assets.vision.videos import check_video, open_video

Read = Callable[[int, int], bytes]


def probe_video(
    read: Read, size_bytes: int, *, max_pixels: int, max_duration_s: float
) -> VideoFacts:
    """Open a video in the object store, and find its first packet. Decodes no picture.

    Raises:
        MediaError: the subclass says why the video cannot be used; see `check_video`.
        NoFramesError: or it has no video packet.
        CorruptMediaError: or it was cut off, or does not open within the bytes of a probe.
    """
    file = _BlockFile(read, size_bytes)
    try:
        return _probe(file, max_pixels=max_pixels, max_duration_s=max_duration_s)
    except (NoFramesError, NoVideoStreamError, UnsupportedCodecError):
        check_whole(file)  # perhaps the missing part was cut off
        raise


def _probe(file: ReadableFile, *, max_pixels: int, max_duration_s: float) -> VideoFacts:
    with open_video(file, will_decode=False) as container:
        stream, facts = check_video(container, max_pixels=max_pixels, max_duration_s=max_duration_s)
        if not any(packet.size for packet in container.demux(stream)):
            raise NoFramesError("The video has no frames.")
        return facts


class _BlockFile:
    """A file for FFmpeg, on top of `read`, which is called at most once per block."""

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read_range = read
        self._size_bytes = size_bytes
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, within one block; none at the end."""
        index, start = divmod(self._position, READ_BLOCK_BYTES)
        data = self._block(index)[start : start + count]
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as `io.IOBase.seek` does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._position

    def _block(self, index: int) -> bytes:
        offset = index * READ_BLOCK_BYTES
        count = min(READ_BLOCK_BYTES, self._size_bytes - offset)
        if count <= 0:
            return b""
        if index not in self._blocks:
            if len(self._blocks) == MAX_PROBE_BLOCKS:
                raise CorruptMediaError("The headers of the video are not where they belong.")
            self._blocks[index] = self._read_range(offset, count)
        return self._blocks[index]
