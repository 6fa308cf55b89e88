"""Photographs that packages bring, which are installed for other reasons."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import sklearn

Frame = npt.NDArray[np.uint8]

FOLDER = Path(str(sklearn.__file__)).parent / "datasets" / "images"
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
"""A rear admiral in uniform, 1984."""
PALACE = FOLDER / "china.jpg"
FLOWER = FOLDER / "flower.jpg"


def read(path: Path) -> Frame:
    """Return an image file as RGB."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)


def central(pixels: Frame, size_px: int) -> Frame:
    """Return the central square, scaled."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    resized = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def stretched(pixels: Frame, size_px: int) -> Frame:
    """Return the picture as a frame, as the default spec makes it."""
    return np.asarray(
        cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8
    )
