"""Asks a server that is ready whether it still answers, again and again.

A process may hang and not end: a signal stopped it, it is in a deadlock, or it waits for a disk.
The kernel still accepts connections for it. So it is asked for an answer.
"""

import threading
import time
from collections.abc import Callable

from visionops_assets.stack import processes
from visionops_assets.stack.server import Server, Trouble

ASK_EVERY_S = 2.0
MISSES = 2
"""A busy server may miss one question. Two, of two seconds each, show within ten."""
WORKS_EVERY_S = 8.0
"""Time between two checks that a server works. Each costs the store a kilobyte."""
SILENT = Trouble()
STOPPED = Trouble("stopped by a signal")


class Vigil:
    """The questions to one server, and their results."""

    def __init__(
        self, server: Server, session: int | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._session = session
        self._now = now
        self._asked_at_s = now()
        self._works_until_s = now()
        self._misses = 0
        self.trouble: Trouble | None = None
        """The server's fault; None while it answers."""
        self.lasted_s = 0.0
        """Duration of the fault, without the time in which nobody asked."""

    def ask(self, *, is_patient: bool = False) -> bool:
        """Ask if it is time to; say whether it was.

        With `is_patient`, trouble does not count for `lasted_s`.
        """
        waited_s = self._now() - self._asked_at_s
        if waited_s < ASK_EVERY_S:
            return False
        found = self._look()
        took_s = self._now() - self._asked_at_s - waited_s
        self._asked_at_s = self._now()
        if found is None or not found.may_pass_by_restart:
            self.lasted_s = 0.0
        elif not is_patient:
            self.lasted_s += min(waited_s, ASK_EVERY_S) + took_s
        self._misses = self._misses + 1 if found else 0
        if self._misses in {0, MISSES} or self.trouble:
            self.trouble = found
        return True

    def _look(self) -> Trouble | None:
        if self._session in _stopped():
            return STOPPED
        server = self._server
        lives = server.lives or server.probe
        if not lives(time.time() - server.silence_s):
            return SILENT
        if not server.works or (not self._misses and self._now() < self._works_until_s):
            return None
        trouble = server.works()
        self._works_until_s = self._now() + WORKS_EVERY_S
        return trouble


class _Stopped:
    """The sessions with a stopped process; one search serves all servers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: frozenset[int] = frozenset()
        self._found_at_s = -ASK_EVERY_S

    def __call__(self) -> frozenset[int]:
        with self._lock:
            if time.monotonic() - self._found_at_s > ASK_EVERY_S / 2:
                self._found = processes.stopped_sessions()
                self._found_at_s = time.monotonic()
            return self._found


_stopped = _Stopped()
