"""Limits of one gateway: predictions under way, and bytes of images in memory.

More is refused at once, before queues grow: a client that comes again later is served sooner than
one that waits in a queue. Each key has a share, so a key that sends too much is refused, and the
others are not.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from visionops_assets.errors import OverloadedError
from visionops_assets.services.gateway.line import Line
from visionops_assets.services.gateway.shares import Shares

MAX_HELD_BYTES = 512 * 1024**2
RETRY_AFTER_S = 1


class _StreamPlaces(Shares):
    """Half of the places: frames of streams wait for a place, and would take all of them."""

    def __init__(self, places: Shares) -> None:
        super().__init__(max(1, places.total // 2))
        self._places = places

    def fits(self, key: str, amount: int = 1) -> bool:
        """Say whether a frame of the key may have a place now."""
        is_room = self._places.held + self.held + amount <= self._places.total
        return is_room and super().fits(key, amount)


class Admission:
    """Places for predictions. It must be used within one event loop.

    `on_refusal` is called with the reason for each request that is refused.
    """

    def __init__(
        self,
        max_in_flight: int,
        on_refusal: Callable[[str], None],
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._places = Shares(max_in_flight)
        self._stream_places = _StreamPlaces(self._places)
        self._frames = Line(self._stream_places)
        self._bytes = Shares(max_held_bytes)
        self._on_refusal = on_refusal

    @property
    def in_flight(self) -> int:
        """Count the predictions under way."""
        return self._places.held + self._stream_places.held

    def check(self, key: str) -> None:
        """Refuse a request that would find no place, before its body is read.

        Raises:
            OverloadedError: the key's share of the places is taken.
        """
        if not self.has_place(key):
            self._refuse(
                "in_flight",
                f"{self.in_flight} predictions are under way, and your share of the "
                f"{self._places.total} places is taken.",
            )

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Hold a place for one prediction, without waiting for one.

        Raises:
            OverloadedError: the key's share of the places is taken.
        """
        self.check(key)
        self._places.take(key)
        try:
            yield
        finally:
            self._places.give(key)
            self._frames.wake()

    def has_place(self, key: str) -> bool:
        """Say whether `place` would find a place now."""
        return self.in_flight < self._places.total and self._places.fits(key)

    @asynccontextmanager
    async def place_of_stream(self, key: str) -> AsyncIterator[None]:
        """Hold a place for one frame of a stream, once there is one."""
        async with self._frames.turn(key, 1):
            yield

    @contextmanager
    def held_bytes(self, key: str) -> Iterator["HeldBytes"]:
        """Count the bytes that a request brings, for the length of the block."""
        held = HeldBytes(self, key)
        try:
            yield held
        finally:
            if held.total:
                self._bytes.give(key, held.total)

    def hold(self, key: str, count: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: the requests of the key, or all together, have brought too many.
        """
        if not self._bytes.fits(key, count):
            self._refuse(
                "memory",
                f"The images under way have {self._bytes.held:,} bytes, and your share of "
                f"{self._bytes.total:,} is taken.",
            )
        self._bytes.take(key, count)

    def _refuse(self, reason: str, because: str) -> None:
        self._on_refusal(reason)
        raise OverloadedError(f"{because} Come again in {RETRY_AFTER_S} s.", RETRY_AFTER_S)


class HeldBytes:
    """The bytes of one request, counted among those of its key and of all."""

    def __init__(self, admission: Admission, key: str) -> None:
        self._admission = admission
        self._key = key
        self.total = 0

    def add(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: the requests of the key, or all together, have brought too many.
        """
        self._admission.hold(self._key, count)
        self.total += count
