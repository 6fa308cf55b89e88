"""`denoise`: for cameras in the dark, whose noise the network would learn."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import Denoise

DIAMETER_PX = 5
"""Neighbours that count; more cost time and change little at the sizes of frames."""
RANGE_OF_NOISE = 3.0
"""Levels within three deviations are noise, and are averaged."""


def apply(rgb: npt.NDArray[np.uint8], spec: Denoise) -> npt.NDArray[np.uint8]:
    """Smooth a picture, uint8 (height, width, 3) RGB, by a bilateral filter.

    Source: C. Tomasi and R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998.
    """
    smooth = cv2.bilateralFilter(rgb, DIAMETER_PX, RANGE_OF_NOISE * spec.strength, DIAMETER_PX / 2)
    return np.asarray(smooth, np.uint8)
