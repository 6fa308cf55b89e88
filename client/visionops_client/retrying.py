"""When a request that was not answered is sent again: exponential back-off with full jitter.

Full jitter, as M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: clients
that failed together do not come again together.
"""

import logging
import random
import time
from collections.abc import Callable
from itertools import count
from threading import Event
from typing import TypeVar

from visionops_client.errors import ServerUnreachableError

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0

_Answer = TypeVar("_Answer")

_log = logging.getLogger(__name__)


class TemporaryError(ServerUnreachableError):
    """A service did not answer, or cannot take requests now; it may in `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Retrying:
    """Calls a function again while it fails for now, up to a time. Safe in several threads."""

    def __init__(
        self,
        retry_for_s: float,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._retry_for_s = retry_for_s
        self._clock_s = clock_s
        self._stopped = Event()
        self._pause = pause or self._stopped.wait

    def stop(self) -> None:
        """Let whatever fails from now on, or waits for its next attempt, fail for good."""
        self._stopped.set()

    def call(self, attempt: Callable[[], _Answer], within_s: float | None = None) -> _Answer:
        """Return what `attempt` returns, calling it until it does, or for `within_s` if shorter.

        Raises:
            TemporaryError: the next attempt would have come too late, or `stop` was called.
        """
        retry_for_s = self._retry_for_s if within_s is None else min(self._retry_for_s, within_s)
        deadline_s = self._clock_s() + retry_for_s
        for failures in count():
            try:
                return attempt()
            except TemporaryError as error:
                delay_s = error.retry_after_s + jittered_backoff_s(failures)
                if self._clock_s() + delay_s > deadline_s or self._stopped.is_set():
                    raise
                _log.info("%s Again in %.1f s.", error, delay_s)
                self._pause(delay_s)
                if self._stopped.is_set():
                    raise
        raise AssertionError("count() ended")


def jittered_backoff_s(failures: int) -> float:
    """Choose a wait by the number of failures: even between 0 and 0.5 s, 1 s, 2 s ... 30 s."""
    return random.uniform(0, min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures, 10)))  # noqa: S311 - no secret
