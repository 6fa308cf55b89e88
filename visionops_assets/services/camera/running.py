"""One camera at work: a thread that watches its child, a thread that uploads, and their figures."""

from threading import Event, Thread

from visionops_assets.catalog.cameras import CameraEntry
from visionops_assets.services.camera.backlog import Backlog
from visionops_assets.services.camera.state import CameraState
from visionops_assets.services.camera.uploader import Uploader, Uploads
from visionops_assets.services.camera.watcher import Watcher
from visionops_assets.settings import Settings
from visionops_assets.vision.capture.messages import CaptureRequest

# Less than the wait of `visionops down`.
UPLOAD_PATIENCE_S = 5.0


class RunningCamera:
    """Runs from its creation until `stop`, and then until its captures are uploaded."""

    def __init__(self, entry: CameraEntry, uploads: Uploads, settings: Settings) -> None:
        self.entry = entry
        self.state = CameraState()
        self.backlog = Backlog()
        self._stop = Event()
        request = CaptureRequest(
            address=entry.address,
            rules=entry.settings.rules,
            memory_bytes=settings.decode_memory_bytes,
            max_pixels=settings.max_image_pixels,
        )
        watcher = Watcher(entry.name, request, self.backlog, self.state, self._stop)
        uploader = Uploader(
            entry.name,
            entry.settings.label,
            self.backlog,
            self.state,
            uploads,
            self._stop,
            patience_s=UPLOAD_PATIENCE_S,
        )
        self._threads = [
            Thread(target=work.run, name=f"{entry.name}-{role}")
            for work, role in ((watcher, "watch"), (uploader, "upload"))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask it to end: the child at once, the uploads within `UPLOAD_PATIENCE_S`."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended."""
        for thread in self._threads:
            thread.join()
