"""Holds captures of one camera until ingest acknowledges them. If full, it drops the oldest."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

from visionops_assets.contracts import MediaKind

MAX_BACKLOG_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Capture:
    """A finished clip or still and when it began."""

    kind: MediaKind
    captured_at: datetime
    content: bytes


class Backlog:
    """Takes every capture at once, so that nothing waits for ingest. Safe between threads.

    The capture that `take` gave out counts until `done`, and is not dropped. At any time added ==
    done + dropped + waiting + taken, and the bytes held are at most `max_bytes`.
    """

    def __init__(self, max_bytes: int = MAX_BACKLOG_BYTES) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[Capture] = deque()
        self._taken: Capture | None = None
        self._held_bytes = 0
        self._changed = Condition()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Return the number of captures lost because ingest did not take them in time."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Return the number of captures held, with the one that was taken."""
        with self._changed:
            return len(self._waiting) + (self._taken is not None)

    @property
    def held_bytes(self) -> int:
        """Return the bytes of all captures held."""
        return self._held_bytes

    def add(self, capture: Capture) -> None:
        """Hold a capture. To make room, drop the oldest ones, or this one if it is too large."""
        with self._changed:
            self._waiting.append(capture)
            self._held_bytes += len(capture.content)
            while self._held_bytes > self._max_bytes:
                self._held_bytes -= len(self._waiting.popleft().content)
                self._dropped += 1
            self._changed.notify()

    def take(self, timeout_s: float) -> Capture | None:
        """Give out the oldest capture; if the one before was not done, give that out again.

        Waits up to `timeout_s` for one; None without one by then.
        """
        with self._changed:
            if self._taken is None:
                self._changed.wait_for(lambda: self._waiting, timeout_s)
                self._taken = self._waiting.popleft() if self._waiting else None
            return self._taken

    def done(self) -> None:
        """Drop the capture that was taken: it is done."""
        with self._changed:
            if self._taken is not None:
                self._held_bytes -= len(self._taken.content)
                self._taken = None
