"""Bytes to be uploaded: read in chunks, and again from the start if an attempt fails."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from visionops_client.errors import ContentChangedError

CHUNK_BYTES = 1024 * 1024


class Content(Protocol):
    """A known number of bytes; every reading yields the same ones."""

    @property
    def size_bytes(self) -> int:
        """Return the number of bytes."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from offset `start` to `stop`, or to the end.

        Raises:
            ContentChangedError: they are no longer what they were.
        """


@dataclass(frozen=True)
class MemoryContent:
    """Bytes in memory."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Return the number of bytes."""
        return len(self.data)

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from offset `start` to `stop`, or to the end, in one piece."""
        yield self.data[start:stop]


class FileContent:
    """A file on disk, of the size it has now; one chunk at a time is in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_bytes = path.stat().st_size

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from offset `start` to `stop`, or to the end.

        Raises:
            ContentChangedError: the file became shorter.
        """
        left = (self.size_bytes if stop is None else stop) - start
        with self._path.open("rb") as file:
            file.seek(start)
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise ContentChangedError(f"{self._path} became shorter while it was read.")
                left -= len(chunk)
                yield chunk


def as_content(content: bytes | Path | Content) -> Content:
    """Make bytes or a path readable in chunks."""
    if isinstance(content, bytes):
        return MemoryContent(content)
    return FileContent(content) if isinstance(content, Path) else content
