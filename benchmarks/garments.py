"""Real pictures with labels: scanned digits, and garments where Debian's package is installed."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

FASHION = Path("/usr/share/datasets/fashion-mnist")
SIZE_PX = 32


@dataclass(frozen=True)
class Pictures:
    """Frames, uint8 (N, S, S, 3), and the class of each, int64 (N)."""

    name: str
    frames: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]


def pictures(garments: int) -> list[Pictures]:
    """Return the digits of scikit-learn, and some of Fashion-MNIST, always the same."""
    digits = load_digits()
    scans = np.rint(digits.images * 255 / 16).astype(np.uint8)
    found = [Pictures("digits", _frames(scans), digits.target.astype(np.int64))]
    if FASHION.is_dir():
        images = _idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        classes = _idx("train-labels-idx1-ubyte.gz", 8).astype(np.int64)
        drawn = np.random.default_rng(0).permutation(len(images))[:garments]
        found.append(Pictures("garments", _frames(images[drawn]), classes[drawn]))
    return found


def _frames(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scaled = [cv2.resize(image, (SIZE_PX, SIZE_PX)) for image in images]
    return np.asarray(np.repeat(np.stack(scaled)[..., None], 3, axis=3), np.uint8)


def _idx(name: str, header_bytes: int) -> npt.NDArray[np.uint8]:
    data = gzip.decompress((FASHION / name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=header_bytes)
