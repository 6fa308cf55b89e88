"""Keeps one camera's child running: whenever it ends, starts it again, after growing pauses."""

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from visionops_assets.services.camera.backlog import Backlog, Capture
from visionops_assets.services.camera.process import CaptureProcess, ChildEndedError
from visionops_assets.services.camera.state import CameraState
from visionops_assets.vision.capture.messages import (
    CaptureReply,
    CaptureRequest,
    CutReply,
    EndedReply,
    HeartbeatReply,
    OpenedReply,
)

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
# A stream that ran for this time gets a new attempt at once.
STEADY_AFTER_S = 60.0

_log = logging.getLogger(__name__)


class Watcher:
    """Reads one camera until `stop` is set. `run` is the body of a thread."""

    def __init__(
        self,
        name: str,
        request: CaptureRequest,
        backlog: Backlog,
        state: CameraState,
        stop: Event,
        *,
        start: Callable[[CaptureRequest, Event], CaptureProcess] = CaptureProcess,
    ) -> None:
        self._name = name
        self._request = request
        self._backlog = backlog
        self._state = state
        self._stop = stop
        self._start = start

    def run(self) -> None:
        """Watch one child after the other."""
        failures = 0
        while not self._stop.is_set():
            started_s = time.monotonic()
            reason = self._watch_child()
            if self._stop.is_set():
                return
            self._state.lost()
            failures = 0 if time.monotonic() - started_s > STEADY_AFTER_S else failures + 1
            delay_s = backoff_s(failures)
            _log.warning("camera %s: %s; again in %.1f s", self._name, reason, delay_s)
            self._stop.wait(delay_s)

    def _watch_child(self) -> str:
        """Take the replies of one child until it ends; return why it ended."""
        try:
            with self._start(self._request, self._stop) as child:
                for reply, body in child.replies():
                    if isinstance(reply, EndedReply):
                        return _one_line(reply.reason)
                    self._take(reply, body)
        except (ChildEndedError, OSError) as error:
            return str(error)
        return "stopped"

    def _take(self, reply: CaptureReply, body: bytes) -> None:
        match reply:
            case OpenedReply():
                self._state.opened()
                size = f"{reply.width_px} x {reply.height_px}"
                _log.info("camera %s: %s, %s", self._name, _one_line(reply.codec), size)
            case CutReply():
                began_at = datetime.now(UTC) - timedelta(seconds=reply.age_s)
                self._backlog.add(Capture(reply.kind, began_at, body))
            case HeartbeatReply():
                self._state.seen(reply.frames, reply.dropped_frames, reply.interval_s, time.time())


def backoff_s(failures: int) -> float:
    """Choose a wait by the failures in a row: 1 s, 2 s, 4 s ... 60 s, half of it random.

    The cameras of one switch that failed must not all come back in the same second.
    """
    longest_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(max(0, failures - 1), 10))
    return random.uniform(longest_s / 2, longest_s)  # noqa: S311 - no secret


def _one_line(text: str) -> str:
    """Make the text of a child fit for a log."""
    return "".join(character if character.isprintable() else " " for character in text)
