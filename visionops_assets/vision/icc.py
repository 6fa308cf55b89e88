"""Converts pixels by an embedded ICC profile to sRGB: RGB of a matrix and curves, and gray curves.

Source: ICC.1:2022, sections 7 (structure), 10.6 (curveType), 10.18 (parametricCurveType), 10.31
(XYZType) and F.3 (matrix and curves). Profiles are read here, not by littlecms, since they are
read where there is no sandbox, too. Profiles by lookup tables, of inks and of other spaces, are
ignored. Results are within 2 levels of 255 of those of littlecms, relative colorimetric.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MAX_PROFILE_BYTES = 1 << 20
MAX_TAGS = 100
HEADER_BYTES, TAG_BYTES = 128, 12
COLOUR_TAGS = (b"r", b"g", b"b")
# Columns are the colours red, green and blue of sRGB, adapted to the white D50 of profiles. Source:
# Bruce Lindbloom, "RGB/XYZ matrices".
SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
XYZ_TO_SRGB = np.linalg.inv(SRGB_TO_XYZ)
LEVELS = np.arange(256) / 255
# Fine enough that each level of sRGB, whose darkest are 1/3294 apart, has steps of its own.
LIGHT_STEPS = 16_384
LINEAR_BELOW = 0.0031308
ROWS_AT_ONCE = 256
PARAMETERS = (1, 3, 4, 5, 7)
"""Numbers of the parametric curves of kind 0 to 4."""


@dataclass(frozen=True)
class Conversion:
    """Light (256, 3) per level and channel, and the matrix to the light of sRGB; none for gray."""

    light: npt.NDArray[np.float32]
    matrix: npt.NDArray[np.float32] | None


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Convert pixels (height, width, 3) in the colours of a profile to sRGB.

    They stay as they are if the profile is sRGB's, is not known, or is not for such pixels.
    """
    conversion = conversion_of(profile)
    if conversion is None:
        return pixels
    if conversion.matrix is None:
        is_gray = (pixels[..., :1] == pixels[..., 1:]).all()
        return np.asarray(cv2.LUT(pixels, _encoded(conversion.light)[None])) if is_gray else pixels
    return _converted(pixels, conversion.light, conversion.matrix)


@lru_cache(maxsize=16)
def conversion_of(profile: bytes) -> Conversion | None:
    """Read a profile; return None if its pixels are sRGB already, or cannot be converted."""
    try:
        conversion = _read(profile)
    except (KeyError, struct.error, ValueError):
        return None
    if conversion is None or conversion.matrix is None:
        return conversion
    steps = np.arange(0, 256, 15).astype(np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    seen = _converted(probe, conversion.light, conversion.matrix)
    return None if np.abs(seen.astype(int) - probe).max() <= 1 else conversion


def _read(profile: bytes) -> Conversion | None:
    if len(profile) > MAX_PROFILE_BYTES or profile[36:40] != b"acsp" or profile[20:24] != b"XYZ ":
        return None
    tags = _tags(profile)
    if profile[16:20] == b"GRAY":
        light = _curve(tags[b"kTRC"])
        return Conversion(np.stack([light] * 3, axis=-1).astype(np.float32), None)
    if profile[16:20] != b"RGB ":
        return None
    light = np.stack([_curve(tags[colour + b"TRC"]) for colour in COLOUR_TAGS], axis=-1)
    colours = np.stack([_xyz(tags[colour + b"XYZ"]) for colour in COLOUR_TAGS], axis=-1)
    return Conversion(light.astype(np.float32), (XYZ_TO_SRGB @ colours).astype(np.float32))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, HEADER_BYTES)
    tags: dict[bytes, bytes] = {}
    for index in range(min(count, MAX_TAGS)):
        place = HEADER_BYTES + 4 + index * TAG_BYTES
        name, start, length = struct.unpack_from(">4sII", profile, place)
        tags[name] = profile[start : start + length]
    return tags


def _curve(tag: bytes) -> Floats:
    """Return the light, 0 to 1, of each level.

    Raises:
        ValueError: it is of another kind.
    """
    (count,) = struct.unpack_from(">I", tag, 8)
    if tag[:4] == b"para":
        light = _parametric(tag)
    elif tag[:4] != b"curv":
        raise ValueError("not a curve")
    elif count == 0:
        light = LEVELS
    elif count == 1:
        light = LEVELS ** (struct.unpack_from(">H", tag, 12)[0] / 256)
    else:
        samples = np.frombuffer(tag, ">u2", count, 12) / 65_535
        light = np.interp(LEVELS, np.linspace(0, 1, count), samples)
    if not np.isfinite(light).all():
        raise ValueError("a curve without end")
    return np.clip(light, 0, 1)


def _parametric(tag: bytes) -> Floats:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind >= len(PARAMETERS):
        raise ValueError("not a kind of curve")
    given = _fixed(tag, 12, PARAMETERS[kind])
    # Gamma, then a to f: those that are left out leave the curve as it is.
    gamma, a, b, c, d, e, f = (*given, *(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)[len(given) :])
    if kind in {1, 2}:
        if a == 0:
            raise ValueError("no curve")
        offset = c if kind == 2 else 0.0  # noqa: PLR2004 - the kind with an offset
        c, d, e, f = 0.0, -b / a, offset, offset
    with np.errstate(all="ignore"):
        return np.where(d <= LEVELS, np.maximum(a * LEVELS + b, 0) ** gamma + e, c * LEVELS + f)


def _xyz(tag: bytes) -> Floats:
    if tag[:4] != b"XYZ ":
        raise ValueError("not a colour")
    return np.array(_fixed(tag, 8, 3))


def _fixed(tag: bytes, offset: int, count: int) -> tuple[float, ...]:
    return tuple(value / 65_536 for value in struct.unpack_from(f">{count}i", tag, offset))


def _converted(
    pixels: Pixels, light: npt.NDArray[np.float32], matrix: npt.NDArray[np.float32]
) -> Pixels:
    converted = np.empty_like(pixels)
    for top in range(0, len(pixels), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        seen = cv2.transform(cv2.LUT(pixels[rows], light[None]), matrix)
        converted[rows] = _encoded(np.asarray(seen, np.float32))
    return converted


def _encoded(light: npt.NDArray[np.float32]) -> Pixels:
    steps = np.clip(light, 0, 1) * np.float32(LIGHT_STEPS) + np.float32(0.5)
    return np.asarray(_LEVEL_OF_STEP[steps.astype(np.uint16)], np.uint8)


def _levels_of_steps() -> Pixels:
    """Return the level of sRGB (IEC 61966-2-1) of each step of light."""
    light = np.arange(LIGHT_STEPS + 1) / LIGHT_STEPS
    curve = 1.055 * light ** (1 / 2.4) - 0.055
    encoded = np.where(light <= LINEAR_BELOW, 12.92 * light, curve)
    return np.asarray(np.rint(255 * encoded), np.uint8)


_LEVEL_OF_STEP = _levels_of_steps()
