"""A circuit breaker: a server that does not answer is left alone for a while.

M. Nygard, "Release It!", 2nd edition, 2018, section 5.2. Without it each request waits its whole
time for a server that hangs, and holds a place that others need.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from visionops_assets.errors import DeadlineExceededError, ServerUnreachableError


class BreakerState(IntEnum):
    """Closed lets everything pass, open nothing, and half open one request that finds out."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Opens after `max_failures` in a row, for `open_s`; then one request is let through.

    `on_refusal` is called for each request that is not.
    """

    def __init__(
        self,
        max_failures: int,
        open_s: float,
        on_refusal: Callable[[], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_failures = max_failures
        self._open_s = open_s
        self._on_refusal = on_refusal
        self._clock_s = clock_s
        self._failures = 0
        self._opened_at_s = 0.0
        self._is_probed = False

    @property
    def state(self) -> BreakerState:
        """Say whether requests pass."""
        if self._failures < self._max_failures:
            return BreakerState.CLOSED
        if self._clock_s() < self._opened_at_s + self._open_s:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    @contextmanager
    def request(self, *, is_patient: bool = True) -> Iterator[None]:
        """Let one request of the server pass, and take notice of how it ends.

        Only an unreachable server, or a deadline that `is_patient`, is a failure: a client that
        allows a millisecond says nothing about the server. Any other error is an answer.

        Raises:
            ServerUnreachableError: the breaker is open; the server was not asked.
        """
        state = self.state
        if state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and self._is_probed):
            self._on_refusal()
            raise ServerUnreachableError(
                f"Triton failed {self._max_failures} times in a row and is left alone for "
                f"{self._open_s:g} s. Try again then.",
                public=True,
            )
        self._is_probed = state is BreakerState.HALF_OPEN
        try:
            yield
        except ServerUnreachableError:
            self._fail()
            raise
        except DeadlineExceededError:
            if is_patient:
                self._fail()
            raise
        except Exception:
            self._failures = 0
            raise
        else:
            self._failures = 0
        finally:
            if state is BreakerState.HALF_OPEN:
                self._is_probed = False

    def _fail(self) -> None:
        self._failures += 1
        if self._failures == self._max_failures or self._is_probed:
            self._opened_at_s = self._clock_s()
