"""`gamma`: for pictures that are too dark or too bright as a whole."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import Gamma


def apply(rgb: npt.NDArray[np.uint8], spec: Gamma) -> npt.NDArray[np.uint8]:
    """Map each level v of a picture, uint8 (height, width, 3) RGB, to 255 (v / 255)^(1 / gamma)."""
    levels = 255 * (np.arange(256) / 255) ** (1 / spec.gamma)
    return np.asarray(cv2.LUT(rgb, np.round(levels).astype(np.uint8)), np.uint8)
