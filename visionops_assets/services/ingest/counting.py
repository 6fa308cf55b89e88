"""Counts the files of a batch before the first one is stored, as far as the batch can be held."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from visionops_assets.errors import InvalidRequestError
from visionops_assets.services.http.forms import FormReader

MAX_BATCH_FILES = 500
COUNTED_BYTES = 16 * 1024**2
"""A batch is held up to this size, and its files counted, before the first one is stored."""
MAX_COUNTING = 4
"""Number of batches that are held at once. The files of others are counted as they are stored."""


class _EnoughError(Exception):
    """A batch is longer than what is counted of it."""


class Counting:
    """Counts the files of batches. One for the process."""

    def __init__(self) -> None:
        self._under_way = 0

    @asynccontextmanager
    async def counted(
        self, content_type: str, body: AsyncIterator[bytes]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the body of a batch, once as many of its files as are held have been counted.

        Storing takes longer than sending: one file too many should not be found after 500 of them.

        Raises:
            InvalidRequestError: there are more than `MAX_BATCH_FILES`, or it is no form.
        """
        if self._under_way >= MAX_COUNTING:
            yield body
            return
        self._under_way += 1
        held = deque[bytes]()
        try:
            form = FormReader(content_type, _held_back(body, held))
            files = 0
            with suppress(_EnoughError):
                while part := await form.next_part():
                    files += part.name == "file"
                    require_at_most(MAX_BATCH_FILES, files)
            yield from_the_first(held, body)
        finally:
            self._under_way -= 1


def require_at_most(max_files: int, files: int) -> None:
    """Refuse a form with too many files.

    Raises:
        InvalidRequestError: there are more than `max_files`.
    """
    require_files(files <= max_files, f"there are more than {max_files}")


def require_files(fits: bool, problem: str) -> None:
    """Refuse a form by its files.

    Raises:
        InvalidRequestError: they do not fit.
    """
    if not fits:
        raise InvalidRequestError(
            f"file: {problem}. Send one to POST /v1/media, several to POST /v1/media/batch."
        )


async def _held_back(body: AsyncIterator[bytes], held: deque[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a body and hold them, until there are more than `COUNTED_BYTES`."""
    left_bytes = COUNTED_BYTES
    async for piece in body:
        held.append(piece)
        left_bytes -= len(piece)
        if left_bytes < 0:
            raise _EnoughError
        yield piece


async def from_the_first(held: deque[bytes], body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was held of a body, and what is still to come."""
    while held:
        yield held.popleft()
    async for piece in body:
        yield piece
