"""Detects motion before a camera, as the share of the picture that differs from its background."""

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]

PICTURES_HZ = 5.0
"""Pictures per second to look at: people and vehicles are in view for longer."""
WIDTH_PX = 160
# A minute of pictures: after standing still that long, an object is background.
HISTORY_PICTURES = 300
WARM_UP_PICTURES = 15
# Squared Mahalanobis distance from the background: Z. Zivkovic, ICPR 2004; OpenCV's default.
VARIANCE_THRESHOLD = 16.0
# Motion ends below this part of the share at which it starts, and only after a pause.
END_RATIO = 0.5
PAUSE_S = 2.0


class MotionDetector:
    """Learns the background of one camera from its pictures, and finds differences from it.

    Args:
        min_area: share of the picture, in (0, 1), at which motion starts.
    """

    def __init__(self, min_area: float) -> None:
        self._min_area = min_area
        self._background = cv2.createBackgroundSubtractorMOG2(
            HISTORY_PICTURES, VARIANCE_THRESHOLD, detectShadows=False
        )
        self._opening = np.ones((3, 3), np.uint8)
        self._pictures = 0
        self._next_s = float("-inf")
        self._last_motion_s: float | None = None

    def wants(self, now_s: float) -> bool:
        """Say whether the next picture should be shown to `observe`."""
        return now_s >= self._next_s

    def observe(self, picture: Gray, now_s: float) -> None:
        """Look at one picture: uint8, always of one shape (H, W), about `WIDTH_PX` wide."""
        self._next_s = now_s + 1 / PICTURES_HZ
        self._pictures += 1
        moving = self._background.apply(picture)
        # Noise of the sensor is single pixels.
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, self._opening)
        if self._pictures <= WARM_UP_PICTURES:
            return
        area = np.count_nonzero(moving) / moving.size
        if area >= self._min_area * (END_RATIO if self.is_moving(now_s) else 1.0):
            self._last_motion_s = now_s

    def is_moving(self, now_s: float) -> bool:
        """Say whether something moves, or did a moment ago."""
        return self._last_motion_s is not None and now_s - self._last_motion_s < PAUSE_S
