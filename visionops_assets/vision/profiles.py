"""Finds the ICC profile that is embedded in an image which OpenCV decodes."""

import struct

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.chunks import inflated, png_chunks, webp_chunks
from visionops_assets.vision.headers import ImageFormat, jpeg_segments
from visionops_assets.vision.icc import MAX_PROFILE_BYTES
from visionops_assets.vision.tiff import Tag, tiff_bytes

JPEG_APP2, JPEG_PREFIX = 0xE2, b"ICC_PROFILE\0"
PNG_PROFILE, WEBP_PROFILE = frozenset({b"iCCP"}), frozenset({b"ICCP"})


def embedded_profile(data: bytes, found: ImageFormat) -> bytes | None:
    """Return the profile of a JPEG, PNG, WebP or TIFF, None without a whole one."""
    match found:
        case ImageFormat.JPEG:
            return _of_jpeg(data)
        case ImageFormat.PNG:
            return next((_of_png(body) for _, body in png_chunks(data, PNG_PROFILE)), None)
        case ImageFormat.WEBP:
            return next((body for _, body in webp_chunks(data, WEBP_PROFILE)), None)
        case ImageFormat.TIFF:
            return _of_tiff(data)
    return None


def _of_jpeg(data: bytes) -> bytes | None:
    """Join the parts (ICC.1:2022, annex B.4), each with its number and how many there are."""
    parts: dict[int, bytes] = {}
    count = 0
    try:
        for marker, place, length in jpeg_segments(data):
            body = data[place + 2 : place + length]
            if marker == JPEG_APP2 and body.startswith(JPEG_PREFIX):
                number, count = struct.unpack_from("BB", body, len(JPEG_PREFIX))
                parts[number] = body[len(JPEG_PREFIX) + 2 :]
    except (IndexError, struct.error):  # it ends early: its decoder will say so
        return None
    if not count or parts.keys() != set(range(1, count + 1)):
        return None
    return b"".join(parts[number] for number in range(1, count + 1))


def _of_png(body: bytes) -> bytes:
    _, _, rest = body.partition(b"\0")
    return inflated(rest[1:], MAX_PROFILE_BYTES)


def _of_tiff(data: bytes) -> bytes | None:
    try:
        return tiff_bytes(data, Tag.ICC_PROFILE, MAX_PROFILE_BYTES)
    except CorruptMediaError:
        return None
