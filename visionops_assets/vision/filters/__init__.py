"""Filters of a spec: one file each, the same code for frames, training and serving.

Must stay importable inside Triton's environment: numpy and OpenCV only.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import FrameFilter, SourceFilter
from visionops_assets.vision.filters import blur, clahe, denoise, gamma, region, sharpen

Frame = npt.NDArray[np.uint8]

_APPLY: dict[str, Callable[[Frame, Any], Frame]] = {
    "region": region.apply,
    "blur": blur.apply,
    "denoise": denoise.apply,
    "clahe": clahe.apply,
    "sharpen": sharpen.apply,
    "gamma": gamma.apply,
}


def filtered(rgb: Frame, filters: Iterable[SourceFilter | FrameFilter]) -> Frame:
    """Apply filters one after the other to a picture, uint8 (height, width, 3) RGB.

    The result is a picture of that kind; only a region changes its size. The argument is not
    changed.
    """
    for each in filters:
        rgb = _APPLY[each.name](rgb, each)
    return rgb
