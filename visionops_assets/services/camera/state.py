"""The state of one camera while the service runs: counted by its threads, shown as metrics."""

from collections import Counter
from threading import Lock

# Weight of the newest second in the frame rate shown: it settles within some five seconds.
RATE_WEIGHT = 0.3


class CameraState:
    """The figures of one camera. Safe between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.is_up = False
        self.frame_rate_hz = 0.0
        self.last_seen_s = 0.0
        self.dropped_frames = 0
        self.reconnects = 0
        self._uploads: Counter[str] = Counter()

    def opened(self) -> None:
        """Note that the stream answers."""
        self.is_up = True

    def lost(self) -> None:
        """Note that the stream has stopped, and will be asked for again."""
        self.is_up = False
        self.frame_rate_hz = 0.0
        self.reconnects += 1

    def seen(self, frames: int, dropped_frames: int, interval_s: float, now_s: float) -> None:
        """Note the frames of the last seconds; `now_s` is Unix time."""
        rate_hz = frames / interval_s
        known_hz = self.frame_rate_hz or rate_hz
        self.frame_rate_hz = known_hz + RATE_WEIGHT * (rate_hz - known_hz)
        self.dropped_frames += dropped_frames
        if frames:
            self.last_seen_s = now_s

    def uploaded(self, outcome: str) -> None:
        """Count an upload: stored, duplicate, or why it was refused."""
        with self._lock:
            self._uploads[outcome] += 1

    def uploads(self) -> dict[str, int]:
        """Return the number of uploads by outcome."""
        with self._lock:
            return dict(self._uploads)
