"""Fits a decoded picture to a spec: filters, then the size, then the colours.

Must stay importable inside Triton's environment: numpy and OpenCV only.
"""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.preprocessing import RegionOfInterest
from visionops_assets.vision.filters import filtered

Frame = npt.NDArray[np.uint8]


def preprocess_pixels(rgb: Frame, spec: PreprocessingSpec) -> Frame:
    """Fit decoded pixels of any size, uint8 (height, width, 3) RGB, to the spec.

    Filters of the whole picture come first, those of the frame once it has its size. They see
    nothing of the bars of a letterbox, which are black.

    Returns:
        uint8 of shape (spec.size_px, spec.size_px, 3), RGB; 'gray' gives three equal channels.
    """
    size_px = spec.size_px
    rgb = filtered(rgb, spec.source_filters)
    if spec.resize == "centre_crop":
        rgb = _central_square(rgb)
    width, height = size_px, size_px
    if spec.resize == "letterbox":
        width, height = _inner_size(rgb, size_px)
    frame = filtered(_resize(rgb, width, height), spec.frame_filters)
    if spec.colour == "gray":
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        frame = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    return frame if frame.shape[:2] == (size_px, size_px) else _on_black(frame, size_px)


def least_part(spec: PreprocessingSpec) -> float:
    """Return the smallest part of a side (0..1) that regions leave; 1 without any."""
    wide = tall = 1.0
    for each in spec.source_filters:
        if isinstance(each, RegionOfInterest):
            wide *= each.right - each.left
            tall *= each.bottom - each.top
    return min(wide, tall)


def _central_square(rgb: Frame) -> Frame:
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def _resize(rgb: Frame, width: int, height: int) -> Frame:
    """Shrink by area first, so that nothing aliases; then enlarge linearly if too small."""
    shrunk_size = (min(width, rgb.shape[1]), min(height, rgb.shape[0]))
    shrunk = cv2.resize(rgb, shrunk_size, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _inner_size(rgb: Frame, size_px: int) -> tuple[int, int]:
    height, width = rgb.shape[:2]
    scale = size_px / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _on_black(inner: Frame, size_px: int) -> Frame:
    height, width = inner.shape[:2]
    left, top = (size_px - width) // 2, (size_px - height) // 2
    frame = np.zeros((size_px, size_px, 3), np.uint8)
    frame[top : top + height, left : left + width] = inner
    return frame
