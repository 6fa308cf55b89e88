"""Keeps the running cameras the same as those of the catalog."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock

from visionops_assets.catalog.cameras import CameraEntry
from visionops_assets.errors import InvalidRequestError, ServerUnreachableError
from visionops_assets.services.camera.running import RunningCamera

REFRESH_S = 2.0
# Without the catalog for this time, cameras may have been added or removed unseen.
STALE_AFTER_S = 15.0

_log = logging.getLogger(__name__)


class Fleet:
    """All cameras. While the catalog is down, they go on as they are. `run` is a thread's body.

    `read` gives the cameras of the catalog, `begin` starts one.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[CameraEntry]],
        begin: Callable[[CameraEntry], RunningCamera],
    ) -> None:
        self._read = read
        self._begin = begin
        self._running: dict[str, RunningCamera] = {}
        self._lock = Lock()
        self._refreshed_s: float | None = None

    def check_current(self) -> None:
        """Check that the cameras are those of the catalog.

        Raises:
            ServerUnreachableError: the catalog has not answered for `STALE_AFTER_S`.
        """
        at_s = self._refreshed_s
        if at_s is None or time.monotonic() - at_s > STALE_AFTER_S:
            raise ServerUnreachableError("The catalog has not answered for a while.")

    def running(self) -> list[RunningCamera]:
        """Return the cameras at work, by name."""
        with self._lock:
            return [self._running[name] for name in sorted(self._running)]

    def run(self, stop: Event) -> None:
        """Follow the catalog until `stop` is set, then end every camera."""
        was_down = False
        while not stop.is_set():
            try:
                self.refresh()
                was_down = False
            except (ServerUnreachableError, InvalidRequestError) as error:
                if not was_down:
                    _log.warning("the cameras stay as they are: %s", error)
                was_down = True
            stop.wait(REFRESH_S)
        self._end(self.running())
        for camera in self.running():
            camera.join()

    def refresh(self) -> None:
        """Begin cameras that were added, end those that were removed, both if one changed."""
        wanted = {entry.name: entry for entry in self._read()}
        self._refreshed_s = time.monotonic()
        ended = [
            camera for camera in self.running() if wanted.get(camera.entry.name) != camera.entry
        ]
        self._end(ended)
        with self._lock:
            for camera in ended:
                del self._running[camera.entry.name]
            for name in wanted.keys() - self._running.keys():
                _log.info("camera %s begins: %s", name, wanted[name].shown_address)
                self._running[name] = self._begin(wanted[name])

    def _end(self, cameras: Sequence[RunningCamera]) -> None:
        for camera in cameras:
            _log.info("camera %s ends", camera.entry.name)
            camera.stop()
