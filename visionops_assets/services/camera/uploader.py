"""Carries one camera's captures to ingest, each until it is acknowledged or refused."""

import logging
import time
from threading import Event
from typing import Protocol

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import RefusedError, VisionOpsError
from visionops_assets.services.camera.backlog import Backlog, Capture
from visionops_assets.services.camera.state import CameraState
from visionops_client.ingest import Receipt
from visionops_client.retrying import jittered_backoff_s

IDLE_POLL_S = 0.5
_SUFFIX = {MediaKind.IMAGE: "jpg", MediaKind.VIDEO: "mp4"}

_log = logging.getLogger(__name__)


class Uploads(Protocol):
    """Sends one capture once, without trying again."""

    def upload(self, name: str, capture: Capture, label: str | None) -> Receipt:
        """Send a capture of the camera `name`.

        Raises:
            RefusedError: ingest refuses it for good.
            VisionOpsError: it cannot be sent for now.
        """


class Uploader:
    """Empties a backlog. `run` is the body of a thread; it goes on for a while after `stop`."""

    def __init__(
        self,
        name: str,
        label: str | None,
        backlog: Backlog,
        state: CameraState,
        uploads: Uploads,
        stop: Event,
        *,
        patience_s: float,
    ) -> None:
        self._name = name
        self._label = label
        self._backlog = backlog
        self._state = state
        self._uploads = uploads
        self._stop = stop
        self._patience_s = patience_s

    def run(self) -> None:
        """Upload until `stop` is set, then the remaining captures, for at most `patience_s`."""
        failures = 0
        while not self._stop.is_set():
            failures = self._upload_next(failures)
            if failures:
                self._stop.wait(jittered_backoff_s(failures))
        deadline_s = time.monotonic() + self._patience_s
        while self._backlog.waiting and time.monotonic() < deadline_s:
            if self._upload_next(0):
                time.sleep(IDLE_POLL_S)
        if self._backlog.waiting:
            _log.error("camera %s: %d captures lost", self._name, self._backlog.waiting)

    def _upload_next(self, failures: int) -> int:
        """Try the oldest capture; return how often ingest has failed in a row by now."""
        capture = self._backlog.take(IDLE_POLL_S)
        if capture is None:
            return failures
        try:
            receipt = self._uploads.upload(self._name, capture, self._label)
        except RefusedError as error:
            _log.error("camera %s: a capture was refused: %s", self._name, error)
            self._state.uploaded(error.reason)
        except VisionOpsError as error:  # the capture is not to blame
            if not failures:
                _log.warning("camera %s: captures wait: %s", self._name, error)
            return failures + 1
        else:
            self._state.uploaded("duplicate" if receipt.duplicate else "stored")
        self._backlog.done()
        return 0


def filename(name: str, capture: Capture) -> str:
    """Name a capture for people, e.g. `gate-20260131T120000Z.mp4`."""
    return f"{name}-{capture.captured_at:%Y%m%dT%H%M%SZ}.{_SUFFIX[capture.kind]}"


def idempotency_key(name: str, capture: Capture) -> str:
    """Name an upload, so that it is not stored twice if its acknowledgement was lost."""
    return f"{name}-{capture.captured_at.isoformat()}"
