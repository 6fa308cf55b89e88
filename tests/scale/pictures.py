"""Small images that all differ."""

from pathlib import Path

import cv2
import numpy as np

SIDE_PX = 16


def write_pictures(folder: Path, count: int, seed: int) -> None:
    """Write this number of PNG files, of some 800 bytes each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:07}.png"), pixels)
