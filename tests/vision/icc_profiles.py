"""ICC profiles of a matrix and curves, and of gray, as bytes (ICC.1:2022)."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

# Red, green and blue in XYZ, adapted to D50.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65_536)) for value in values)


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + fixed(*values)


def gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256)) + bytes(2)


def sampled(light: npt.NDArray[np.float64]) -> bytes:
    values = (light * 65_535).round().astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def parametric(kind: int, *values: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*values)


LINEAR = b"curv" + bytes(8)
SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
WHITE = xyz(0.9642, 1, 0.8249)


def profile(space: bytes, tags: Mapping[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"mntr", space, pcs)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    return head + date + b"acsp" + bytes(28) + WHITE[8:] + bytes(48) + table + body


def rgb_profile(colours: Sequence[Sequence[float]], curve: bytes) -> bytes:
    tags = {b"wtpt": WHITE}
    for name, colour in zip((b"r", b"g", b"b"), colours, strict=True):
        tags[name + b"XYZ"] = xyz(*colour)
        tags[name + b"TRC"] = curve
    return profile(b"RGB ", tags)


def gray_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"wtpt": WHITE, b"kTRC": curve})


ADOBE = rgb_profile(ADOBE_RGB, gamma(563 / 256))
P3 = rgb_profile(DISPLAY_P3, SRGB_CURVE)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
