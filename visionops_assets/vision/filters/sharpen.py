"""`sharpen`: for lenses that are soft or out of focus."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import Sharpen


def apply(rgb: npt.NDArray[np.uint8], spec: Sharpen) -> npt.NDArray[np.uint8]:
    """Sharpen a picture, uint8 (height, width, 3) RGB, by an unsharp mask."""
    soft = cv2.GaussianBlur(rgb, (0, 0), spec.radius_px)
    return np.asarray(cv2.addWeighted(rgb, 1 + spec.amount, soft, -spec.amount, 0), np.uint8)
