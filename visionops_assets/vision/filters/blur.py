"""`blur`: a mask over what must not be recognised, such as faces, plates or screens."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import BlurMask
from visionops_assets.vision.filters.region import inside

CELLS = 6
"""Cells of the mask along its longer side. Of a face that fills it, no feature is left."""


def apply(rgb: npt.NDArray[np.uint8], spec: BlurMask) -> npt.NDArray[np.uint8]:
    """Replace the rectangle in a picture, uint8 (height, width, 3) RGB, by the means of few cells.

    A mean cannot be undone, unlike a Gaussian blur, which leaves traces to sharpen.
    """
    rows, columns = inside(rgb.shape[0], rgb.shape[1], spec)
    masked = rgb.copy()
    part = masked[rows, columns]
    height, width = part.shape[:2]
    longer = max(height, width)
    scale = min(CELLS, max(1, longer // 2)) / longer
    cells = (max(1, round(width * scale)), max(1, round(height * scale)))
    means = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
    masked[rows, columns] = cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)
    return masked
