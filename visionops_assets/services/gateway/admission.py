"""How much one gateway takes on at once: predictions under way, and bytes of images in memory.

What is more is refused at once, before queues grow: a client that comes again later is served
sooner than one that waits in a queue behind others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from visionops_assets.errors import OverloadedError

MAX_HELD_BYTES = 512 * 1024**2
RETRY_AFTER_S = 1


class Admission:
    """Places for predictions. Must be used within one event loop.

    `on_refusal` is called with the reason for each request that is refused.
    """

    def __init__(
        self,
        max_in_flight: int,
        on_refusal: Callable[[str], None],
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._places = asyncio.Semaphore(max_in_flight)
        # Streams wait for a place, and would leave none to those who do not wait.
        self._stream_places = asyncio.Semaphore(max(1, max_in_flight // 2))
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._on_refusal = on_refusal
        self.in_flight = 0

    def check(self) -> None:
        """Refuse a request that would find no place, before its body is read.

        Raises:
            OverloadedError: all places are taken.
        """
        if self._places.locked():
            self._on_refusal("in_flight")
            raise OverloadedError(
                f"{self._max_in_flight} predictions are under way. Come again in "
                f"{RETRY_AFTER_S} s.",
                RETRY_AFTER_S,
            )

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for one prediction, without waiting for one.

        Raises:
            OverloadedError: all places are taken.
        """
        self.check()
        async with self._places:  # It is free: this does not wait.
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1

    def has_place(self) -> bool:
        """Say whether `place` would find one now."""
        return not self._places.locked()

    @asynccontextmanager
    async def place_of_stream(self) -> AsyncIterator[None]:
        """Hold a place for one frame of a stream, once there is one."""
        async with self._stream_places, self._places:
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1

    @contextmanager
    def held_bytes(self) -> Iterator["HeldBytes"]:
        """Count the bytes that a request brings, for the length of the block."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            self._held_bytes -= held.total

    def hold(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: all requests together have brought too many.
        """
        if self._held_bytes + count > self._max_held_bytes:
            self._on_refusal("memory")
            raise OverloadedError(
                f"The images under way have {self._max_held_bytes:,} bytes. Come again in "
                f"{RETRY_AFTER_S} s.",
                RETRY_AFTER_S,
            )
        self._held_bytes += count


class HeldBytes:
    """The bytes of one request, counted among those of all."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.total = 0

    def add(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: all requests together have brought too many.
        """
        self._admission.hold(count)
        self.total += count
