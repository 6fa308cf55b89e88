"""Statistics of pixels that never copy the pixels."""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.vision.selection import Images, Rows, Selection, batches_of, read_ahead

Channels = tuple[float, float, float]
READ_AT_ONCE = 64
"""Images."""
LEAST_DEVIATION = 1 / 255
"""One step of a pixel: images of a single colour must not lead to a division by zero."""


def channel_statistics(images: Images, rows: Rows) -> tuple[Channels, Channels]:
    """Measure mean and standard deviation per channel, of pixels scaled to 0..1.

    `images` is uint8 (N, S, S, 3); only those of `rows` (M) count. It needs the memory of some of
    them: per image, the mean of squares is deviation squared plus mean squared.
    """
    some = Selection(images, rows)
    reading = read_ahead(some, batches_of(len(rows), READ_AT_ONCE))
    moments = [cv2.meanStdDev(image) for _, batch in reading for image in batch]
    means, deviations = (np.array(part).reshape(-1, 3) / 255 for part in zip(*moments, strict=True))
    mean = means.mean(axis=0)
    variance = (deviations**2 + (means - mean) ** 2).mean(axis=0)
    deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
    return _as_channels(mean), _as_channels(deviation)


def _as_channels(values: npt.NDArray[np.float64]) -> Channels:
    red, green, blue = values.tolist()
    return red, green, blue
