"""`region`: the region of interest."""

import math

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import Rectangle, RegionOfInterest

_ROUNDING = 1e-6
"""0.7 of 10 pixels are 7, whatever the product of floats says."""


def apply(rgb: npt.NDArray[np.uint8], spec: RegionOfInterest) -> npt.NDArray[np.uint8]:
    """Cut a picture, uint8 (height, width, 3) RGB, down to the region: a view of at least 1 x 1."""
    return rgb[inside(rgb.shape[0], rgb.shape[1], spec)]


def inside(height: int, width: int, part: Rectangle) -> tuple[slice, slice]:
    """Return the rows and columns of a rectangle, those that it touches; at least one of each."""
    return _span(height, part.top, part.bottom), _span(width, part.left, part.right)


def _span(pixels: int, start: float, end: float) -> slice:
    first = min(pixels - 1, math.floor(start * pixels + _ROUNDING))
    return slice(first, max(first + 1, math.ceil(end * pixels - _ROUNDING)))
