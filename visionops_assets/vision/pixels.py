"""Statistics of pixels that never copy the pixels."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.vision.selection import Images

Channels = tuple[float, float, float]
LEAST_DEVIATION = 1 / 255
"""One step of a pixel: images of a single colour must not lead to a division by zero."""


def channel_statistics(images: Images, rows: Iterable[int]) -> tuple[Channels, Channels]:
    """Measure mean and standard deviation per channel, of pixels scaled to 0..1.

    `images` is uint8 (N, S, S, 3); only those of `rows` count. It needs the memory of one image:
    per image, the mean of squares is deviation squared plus mean squared.
    """
    moments = [cv2.meanStdDev(images[row]) for row in rows]
    means, deviations = (np.array(part).reshape(-1, 3) / 255 for part in zip(*moments, strict=True))
    mean = means.mean(axis=0)
    variance = (deviations**2 + (means - mean) ** 2).mean(axis=0)
    deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
    return _as_channels(mean), _as_channels(deviation)


def _as_channels(values: npt.NDArray[np.float64]) -> Channels:
    red, green, blue = values.tolist()
    return red, green, blue
