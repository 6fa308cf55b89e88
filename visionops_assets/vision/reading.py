"""Reads parts of a file that is open, or that lies in the object store."""

from typing import Protocol


class ReadableFile(Protocol):
    """The methods of an open file that FFmpeg and the checks of containers call."""

    def read(self, count: int, /) -> bytes:
        """Return up to `count` bytes; none at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Move, as `io.IOBase.seek` does."""

    def tell(self) -> int:
        """Return the offset of the next read."""


def read_at(file: ReadableFile, offset: int, count: int) -> bytes:
    """Read `count` bytes, fewer only at the end of the file."""
    file.seek(offset)
    data = b""
    while len(data) < count and (more := file.read(count - len(data))):
        data += more
    return data
