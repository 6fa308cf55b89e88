"""A circuit breaker: a server that does not answer is left alone for a while.

M. Nygard, "Release It!", 2nd edition, 2018, section 5.2. Without it each request waits its whole
time for a server that hangs, and holds a place that others need.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from visionops_assets.errors import (
    DeadlineExceededError,
    ServerUnreachableError,
    VisionOpsError,
)


class BreakerState(IntEnum):
    """Closed lets all requests pass, open none, and half open one, which tries the server."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Opens after `max_failures` in a row, for `open_s`. Then one request may pass.

    `on_refusal` is called for each request that may not.
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

    @property
    def is_quiet(self) -> bool:
        """Say whether the last request did not fail."""
        return self._failures == 0

    @contextmanager
    def request(self, failure: type[VisionOpsError] | None) -> Iterator[None]:
        """Let one request to the server pass, and note how it ends.

        An error of the type `failure` counts as a failure. Other signs of a server that is away or
        busy do not count, and any other error is an answer.

        Raises:
            ServerUnreachableError: the breaker is open; the server was not asked.
        """
        state = self.state
        if state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and self._is_probed):
            self._on_refusal()
            raise ServerUnreachableError(
                f"The model server failed {self._max_failures} times in a row and is left alone "
                f"for {self._open_s:g} s. Try again then.",
                public=True,
            )
        self._is_probed = state is BreakerState.HALF_OPEN
        try:
            yield
        except (ServerUnreachableError, DeadlineExceededError) as error:
            if failure is not None and isinstance(error, failure):
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


class Breakers:
    """One breaker for the server, and one for each client whose requests failed lately.

    A server that cannot be reached fails everybody. An answer that does not come in time may be the
    fault of what was asked: so it counts against its client alone. If the server hangs, it does so
    for each client, and each finds out.
    """

    def __init__(self, make: Callable[[], CircuitBreaker]) -> None:
        self._make = make
        self._server = make()
        self._of_clients: dict[str, CircuitBreaker] = {}

    def worst_state(self) -> BreakerState:
        """Return the state of the server's breaker, or of the worst one of a client."""
        breakers = [self._server, *self._of_clients.values()]
        return max(breaker.state for breaker in breakers)

    def state(self, client: str) -> BreakerState:
        """Say whether requests of a client pass."""
        own = self._of_clients.get(client)
        return max(self._server.state, own.state if own else BreakerState.CLOSED)

    @contextmanager
    def request(self, client: str, *, is_patient: bool) -> Iterator[None]:
        """Let one request of a client pass, and note how it ends.

        A missed deadline is not a failure unless it `is_patient`: that a client allows a
        millisecond says nothing about the server.

        Raises:
            ServerUnreachableError: a breaker is open; the server was not asked.
        """
        own = self._of_clients.get(client)
        if own is None:
            own = self._of_clients[client] = self._make()
        try:
            with (
                own.request(DeadlineExceededError if is_patient else None),
                self._server.request(ServerUnreachableError),
            ):
                yield
        finally:
            if own.is_quiet and self._of_clients.get(client) is own:
                del self._of_clients[client]
