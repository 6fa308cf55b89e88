"""Divides a gateway's resources among the keys that use it, so that no key has all of them."""

import time
from collections.abc import Callable
from statistics import median_low

COSTLY_S = 0.05
"""CPU time of a prediction that others behind it would feel."""
WINDOW_S = 0.064
"""CPU time under way in Triton. While there are several keys, they divide it."""
SMALLEST_WINDOW_S = 0.016
SHARE = 1 / 16
"""Of the instances' time: as much a key takes that sends costlier images than others do."""
ACTIVE_S = 5.0
"""A client that sends one request after the other pauses between them, but is still there."""
FELT_S = 0.01
"""As long as an image of a megapixel takes: nobody rests for less."""
REMEMBERED = 8
"""The newest predictions of a key that its typical cost is a mean of, more or less."""


class Shares:
    """Divides an amount, such as places or bytes, so that one more key always gets a part.

    Of `total` a key may hold `total / (n + 1)`, n the number of keys that hold some, with itself.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._held_by: dict[str, int] = {}

    def fits(self, key: str, amount: int = 1) -> bool:
        """Say whether the key may take so much now."""
        holders = len(self._held_by) + (key not in self._held_by)
        share = max(1, self.total // (holders + 1))
        held = self._held_by.get(key, 0)
        return held + amount <= share and self.held + amount <= self.total

    def take(self, key: str, amount: int = 1) -> None:
        """Count an amount that the key holds from now on."""
        self.held += amount
        self._held_by[key] = self._held_by.get(key, 0) + amount

    def give(self, key: str, amount: int = 1) -> float:
        """Stop counting an amount of the key. Others may have it at once: after 0 s."""
        self.held -= amount
        self._held_by[key] -= amount
        if not self._held_by[key]:
            del self._held_by[key]
        return 0.0


class Windows:
    """Says whose prediction may go to Triton, by the CPU time that each is likely to cost.

    Triton answers in the order in which it was asked. So a key may have only a bounded amount under
    way there, and the rest waits here. While there are several keys, they divide `WINDOW_S`, and
    each may have at least one prediction under way. Only `max_costly` predictions above `COSTLY_S`
    are under way, of all keys together: the other instances answer small ones.

    An instance that decodes a large image answers nobody else. So a key rests after a prediction
    that costs k times as much as those of other keys, and as `FELT_S`: k - 1 times as long as it
    took, until it takes `SHARE` of the time of all instances. Keys that send alike do not rest.
    """

    def __init__(self, max_costly: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._max_costly = max_costly
        # Half of the instances answer no costly predictions.
        self._max_rest = max(0.0, 1 / (SHARE * 2 * max_costly) - 1)
        self._clock_s = clock_s
        self._costly = 0
        self._under_way_s: dict[str, float] = {}
        self._count: dict[str, int] = {}
        self._busy_since_s: dict[str, float] = {}
        self._rests_until_s: dict[str, float] = {}
        self._seen_at_s: dict[str, float] = {}
        self._typical_s: dict[str, float] = {}
        self._pruned_at_s = 0.0

    def fits(self, key: str, cost_s: float) -> bool:
        """Say whether a prediction of the key may go to Triton now."""
        self._note(key, cost_s)
        if cost_s > COSTLY_S and self._costly >= self._max_costly:
            return False
        keys = len(self._seen_at_s)
        if keys == 1:
            return True
        rests = self._clock_s() < self._rests_until_s.get(key, 0.0)
        if rests and self._times_others(key, cost_s) > 1:
            return False
        window_s = max(WINDOW_S / keys, SMALLEST_WINDOW_S)
        return key not in self._count or self._under_way_s[key] + cost_s <= window_s

    def take(self, key: str, cost_s: float) -> None:
        """Count a prediction that goes to Triton."""
        self._note(key, cost_s)
        self._costly += cost_s > COSTLY_S
        if key not in self._count:
            self._busy_since_s[key] = self._clock_s()
        self._typical_s[key] += (cost_s - self._typical_s[key]) / REMEMBERED
        self._under_way_s[key] = self._under_way_s.get(key, 0.0) + cost_s
        self._count[key] = self._count.get(key, 0) + 1

    def give(self, key: str, cost_s: float) -> float:
        """Count a prediction that came back; return how long the key rests, in seconds."""
        now_s = self._clock_s()
        self._note(key, cost_s)
        self._costly -= cost_s > COSTLY_S
        took_s = now_s - self._busy_since_s[key]
        self._busy_since_s[key] = now_s
        self._under_way_s[key] -= cost_s
        self._count[key] -= 1
        if not self._count[key]:
            del self._count[key], self._under_way_s[key], self._busy_since_s[key]
        rest_s = took_s * min(self._max_rest, max(0.0, self._times_others(key, cost_s) - 1))
        self._rests_until_s[key] = max(self._rests_until_s.get(key, 0.0), now_s + rest_s)
        return rest_s

    def _times_others(self, key: str, cost_s: float) -> float:
        """Return how many times a prediction costs what those of half of the other keys do."""
        others = [self._typical_s[other] for other in self._seen_at_s if other != key]
        return cost_s / max(FELT_S, median_low(others)) if others else 1.0

    def _note(self, key: str, cost_s: float) -> None:
        now_s = self._clock_s()
        self._seen_at_s[key] = now_s
        self._typical_s.setdefault(key, cost_s)
        if now_s < self._pruned_at_s + ACTIVE_S / 10:
            return
        self._pruned_at_s = now_s
        self._seen_at_s = {
            other: seen_at_s
            for other, seen_at_s in self._seen_at_s.items()
            if seen_at_s > now_s - ACTIVE_S or other in self._count
        }
        self._typical_s = {other: self._typical_s[other] for other in self._seen_at_s}
        self._rests_until_s = {
            other: until_s for other, until_s in self._rests_until_s.items() if until_s > now_s
        }
