"""Counts requests in windows of time, in memory.

The storage in memory of the package `limits` starts a thread every few requests, to forget what has
expired. That took a tenth of the CPU time of an upload.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem

MAX_HELD = 10_000
"""Windows that have ended are forgotten once there are more than these."""


@dataclass(slots=True)
class _Window:
    ends_at_s: float
    hits: int = 0


class Windows:
    """Windows of time. Each begins with the first request of somebody after the last one ended."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._held: dict[tuple[float, str, str], _Window] = {}

    def hit(self, limit: RateLimitItem, kind: str, who: str) -> int | None:
        """Count a request of somebody.

        Returns:
            None where it is within the limit, else the whole seconds until the window ends.
        """
        now_s, period_s = self._clock_s(), limit.get_expiry()
        place = (period_s, kind, who)
        window = self._held.get(place)
        if window is None or window.ends_at_s <= now_s:
            if len(self._held) >= MAX_HELD:
                self._forget(now_s)
            window = self._held[place] = _Window(now_s + period_s)
        window.hits += 1
        if window.hits <= limit.amount:
            return None
        return max(1, math.ceil(window.ends_at_s - now_s))

    def _forget(self, now_s: float) -> None:
        self._held = {
            place: window for place, window in self._held.items() if window.ends_at_s > now_s
        }
