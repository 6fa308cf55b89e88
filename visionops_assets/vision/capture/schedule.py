"""Says when the next clip or still is due, and reads a file no faster than it was filmed."""

import time
from collections.abc import Callable

# A stream whose clock differs this much from ours has started anew.
MAX_DRIFT_S = 10.0


class Schedule:
    """Due at once, then every `every_s`; when late by more than that, counted anew."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Say whether it is time."""
        return now_s >= self._due_s

    def take(self, now_s: float) -> None:
        """Note that the due clip or still is being made."""
        next_s = self._due_s + self._every_s
        self._due_s = next_s if next_s > now_s else now_s + self._every_s


class Pacer:
    """Lets the times of a stream pass no faster than the clock."""

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clock_s = clock_s
        self._sleep = sleep
        self._zero_s: float | None = None

    def wait_for(self, time_s: float) -> None:
        """Wait until `time_s` of the stream; return at once if it has passed."""
        now_s = self._clock_s()
        if self._zero_s is None or abs(self._zero_s + time_s - now_s) > MAX_DRIFT_S:
            self._zero_s = now_s - time_s
        ahead_s = self._zero_s + time_s - now_s
        if ahead_s > 0:
            self._sleep(ahead_s)
