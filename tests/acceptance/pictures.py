"""The pictures of each case: folders to import, and others to be judged by."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.vision.preprocessing import encode_frame

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WIDTH, HEIGHT = 320, 240
SHAPES = ("disc", "square", "triangle")
FASHION = Path("/usr/share/datasets/fashion-mnist")
GARMENTS = (
    *("t-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)


@dataclass(frozen=True)
class Picture:
    """One image file, and its class."""

    name: str
    label: str
    data: bytes


def photographs(per_class: int, seed: int) -> Iterator[Picture]:
    """Make photographs of one object each, of any colour, size, place and turn, on noisy ground."""
    rng = np.random.default_rng(seed)
    for number in range(per_class):
        for shape in SHAPES:
            bgr = _photograph(shape, rng)
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
            yield Picture(f"{shape}-{number:04d}.jpg", shape, data.tobytes())


def _photograph(shape: str, rng: np.random.Generator) -> Pixels:
    ground = _ground(rng)
    mask = _silhouette(shape, rng)
    colour = rng.uniform(0, 255, 3)
    left, right = rng.uniform(0.8, 1.2, 2)
    light = np.linspace(left, right, WIDTH)[None, :, None]
    image = ground * (1 - mask) + colour * light * mask
    image += rng.normal(0, rng.uniform(5, 15), image.shape)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _ground(rng: np.random.Generator) -> Floats:
    """Make grainy ground with patches of light and dark."""
    ground = np.full((HEIGHT, WIDTH, 3), rng.uniform(60, 190), np.float32)
    for cell_px, strength in ((2, rng.uniform(10, 40)), (24, rng.uniform(0, 15))):
        cells = rng.normal(0, strength, (HEIGHT // cell_px, WIDTH // cell_px)).astype(np.float32)
        ground += cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[:, :, None]
    return ground


def _silhouette(shape: str, rng: np.random.Generator) -> Floats:
    """Draw where the object is, from 0 to 1 (HEIGHT, WIDTH, 1), with a soft edge."""
    radius = rng.uniform(25, 90)
    x, y = rng.uniform(radius, WIDTH - radius), rng.uniform(radius, HEIGHT - radius)
    corners = {"disc": 72, "square": 4, "triangle": 3}[shape]
    angles = rng.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
    outline = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 1.0, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0), np.float32)[:, :, None]


def garments(part: str, count: int) -> Iterator[Picture]:
    """Read the first images of Fashion-MNIST, `train` or `t10k`, as Debian packages it.

    Raises:
        FileNotFoundError: the package `dataset-fashion-mnist` is not installed.
    """
    images = _idx(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = _idx(f"{part}-labels-idx1-ubyte.gz", 8)
    for number, (image, label) in enumerate(zip(images[:count], labels[:count], strict=True)):
        png = encode_frame(np.repeat(image[:, :, None], 3, axis=2))
        yield Picture(f"{part}-{number:05d}.png", GARMENTS[label], png)


def _idx(name: str, header_bytes: int) -> Pixels:
    data = gzip.decompress((FASHION / name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=header_bytes)


def write(pictures: Iterator[Picture], folder: Path) -> int:
    """Write pictures into a folder per class; return how many."""
    count = 0
    for picture in pictures:
        place = folder / picture.label
        place.mkdir(parents=True, exist_ok=True)
        (place / picture.name).write_bytes(picture.data)
        count += 1
    return count
