"""Changes the pictures that applications send: a lens out of focus, poor light, noise."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from visionops_assets.demo.media import DemoFile
from visionops_assets.vision.preprocessing import decode_frame, encode_frame

SEED = 0
SIDE_PX = 32
MIDDLE_GRAY = 128
BLUR_SIGMA_PX = (2.4, 3.0)
CONTRAST = (0.38, 0.55)
NOISE_SIGMA = 8.0


def changed(file: DemoFile, rng: np.random.Generator) -> DemoFile:
    """Return the same scan, blurred, with less contrast and with noise; each time different.

    It is enlarged first: 8 x 8 pixels are too few to blur. A model that never saw images changed so
    gets more than half of them wrong, though training changes light and contrast; people get none
    wrong.
    """
    gray = decode_frame(file.data)[:, :, 0].astype(np.float32)
    large = cv2.resize(gray, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(large, (0, 0), rng.uniform(*BLUR_SIGMA_PX))
    faint = MIDDLE_GRAY + (blurred - MIDDLE_GRAY) * rng.uniform(*CONTRAST)
    noisy = faint + rng.normal(0, NOISE_SIGMA, faint.shape)
    pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return replace(file, data=encode_frame(np.repeat(pixels[:, :, None], 3, axis=2)))


class World:
    """The images: some for the applications, others for measuring accuracy."""

    def __init__(self, held_back: Sequence[DemoFile]) -> None:
        self._rng = np.random.default_rng(SEED)
        self._stream = itertools.cycle(held_back[::2])
        self.probes = list(held_back[1::2])
        self.changed_probes = [changed(file, self._rng) for file in self.probes]
        self.is_changed = False

    def next_image(self) -> DemoFile:
        """Return the image that the next application sends."""
        file = next(self._stream)
        return changed(file, self._rng) if self.is_changed else file
