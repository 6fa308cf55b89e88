"""`clahe`: contrast where light is uneven, such as in fog or against the sun."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import Clahe


def apply(rgb: npt.NDArray[np.uint8], spec: Clahe) -> npt.NDArray[np.uint8]:
    """Equalise the lightness of a picture, uint8 (height, width, 3) RGB, tile by tile.

    Source: K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV,
    1994. In L*a*b*, so that colours stay.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    equalise = cv2.createCLAHE(clipLimit=spec.clip, tileGridSize=(spec.tiles, spec.tiles))
    lab[..., 0] = equalise.apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
