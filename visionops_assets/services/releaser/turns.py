"""Repeats duties side by side, each in a thread of its own, so that none waits for another."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

from visionops_assets.errors import VisionOpsError
from visionops_assets.redaction import redacted
from visionops_assets.services.heartbeat import Heartbeat

BEAT_S = 1.0
LONGEST_TURN_S = 900.0
"""A promotion of an ensemble rehearses on every server, and may take minutes."""
END_S = 15.0

_log = logging.getLogger("visionops_assets.services.releaser")


class Duty:
    """One thing to do again and again, `pause_s` seconds apart; what it says is logged once.

    A duty that `may_hang` does not count for the sign of life: it waits for a server that the
    others do without.
    """

    def __init__(
        self, name: str, act: Callable[[], str], pause_s: float, *, may_hang: bool = False
    ) -> None:
        self.name = name
        self.may_hang = may_hang
        self._act = act
        self._pause_s = pause_s
        self._said = ""
        self.begun_at_s: float | None = None
        """When the turn under way began, by the monotonic clock; None between two turns."""

    def run(self, stop: Event) -> None:
        """Take turns until `stop` is set."""
        while not stop.is_set():
            self.begun_at_s = time.monotonic()
            self.turn()
            self.begun_at_s = None
            stop.wait(self._pause_s)

    def turn(self) -> None:
        """Act once. A failure is left to the next turn, and logged if it is a new one."""
        try:
            said, level = self._act(), logging.INFO
        except VisionOpsError as error:
            said, level = f"left to the next turn: {redacted(str(error))}", logging.WARNING
        except Exception:
            # By a fault of ours in one duty, the others must not end.
            _log.exception("%s failed", self.name)
            return
        if said != self._said:
            _log.log(level, "%s: %s", self.name, said)
        self._said = said

    def is_stuck(self) -> bool:
        """Say whether the turn under way takes longer than any may."""
        begun = self.begun_at_s
        return begun is not None and time.monotonic() - begun > LONGEST_TURN_S


def run_all(duties: Sequence[Duty], heartbeat: Heartbeat, stop: Event) -> None:
    """Take turns until `stop` is set, and give signs of life as long as no duty is stuck."""
    threads = [
        Thread(target=duty.run, args=(stop,), name=duty.name, daemon=True) for duty in duties
    ]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        if not any(duty.is_stuck() for duty in duties if not duty.may_hang):
            heartbeat.beat()
        stop.wait(BEAT_S)
    # Whoever comes next puts right whatever is killed halfway; it is only quicker to end well.
    deadline = time.monotonic() + END_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
