"""Reads the format and the size that an encoded image declares, before anything is decoded.

The size must be known first, because a file of a few bytes may declare an image of gigabytes.
Only the formats accepted here are known; decoding is in `preprocessing.py`.
"""

import re
import struct
from collections.abc import Iterator
from enum import StrEnum

from visionops_assets.errors import (
    CorruptMediaError,
    TooManyPixelsError,
    UnsupportedMediaError,
)

BMP_OS2_HEADER_BYTES = 12
# Any number of fill bytes, then a code that is neither a fill nor a stuffed byte.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
JPEG_STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
JPEG_START_OF_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_START_OF_SCAN = 0xDA
TIFF_SIZE_TAGS = (256, 257)  # width, height
TIFF_EXTRA_SAMPLES_TAG, TIFF_ASSOCIATED_ALPHA = 338, 1
TIFF_TYPE_CODES = {3: "H", 4: "I"}
# No camera writes more before the size; hostile files must not keep us walking.
MAX_JPEG_SEGMENTS = 1_024
MAX_TIFF_ENTRIES = 1_024


class ImageFormat(StrEnum):
    """An accepted image format; the value is its MIME type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"


# Two letters would let text through as BMP, so its next header must have a known size too.
# "CR" marks Canon's raw files, which are not plain TIFF.
SIGNATURES = {
    ImageFormat.JPEG: re.compile(rb"\xff\xd8\xff"),
    ImageFormat.PNG: re.compile(rb"\x89PNG\r\n\x1a\n"),
    ImageFormat.WEBP: re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    ImageFormat.GIF: re.compile(rb"GIF8[79]a"),
    ImageFormat.BMP: re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL),
    ImageFormat.TIFF: re.compile(rb"(II\*\0|MM\0\*).{4}(?!CR)", re.DOTALL),
}


def image_format(head: bytes) -> ImageFormat | None:
    """Return the format by the first 32 bytes, or None if it is not an accepted image."""
    return next((known for known, magic in SIGNATURES.items() if magic.match(head)), None)


def image_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels from the header, before any rotation by EXIF.

    Raises:
        UnsupportedMediaError: the format is not accepted.
        CorruptMediaError: the header ends early or declares no pixels.
    """
    found = image_format(data)
    if found is None:
        raise UnsupportedMediaError("The content is not a JPEG, PNG, WebP, GIF, BMP or TIFF image.")
    try:
        width, height = _READERS[found](data)
    except (struct.error, IndexError):
        raise CorruptMediaError(f"The {found.name} header ends early. Upload it again.") from None
    if width <= 0 or height <= 0:
        raise CorruptMediaError(f"The {found.name} header declares {width} x {height} pixels.")
    return width, height


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Refuse a declared size in pixels above the limit.

    Raises:
        TooManyPixelsError: width x height is more than `max_pixels`.
    """
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"The header declares {width} x {height} pixels; the limit is {max_pixels} in all. "
            "Upload it scaled down."
        )


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise CorruptMediaError("The PNG does not begin with its IHDR chunk.")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    is_os2 = struct.unpack_from("<I", data, 14)[0] == BMP_OS2_HEADER_BYTES
    width, height = struct.unpack_from("<HH" if is_os2 else "<ii", data, 18)
    return width, abs(height)  # a negative height means that rows run from the top


def _webp_size(data: bytes) -> tuple[int, int]:
    """Read the first chunk: lossy, lossless or extended (RFC 9649, section 2)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(_exactly(data, 24, 3), "little") + 1
        return width, int.from_bytes(_exactly(data, 27, 3), "little") + 1
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise CorruptMediaError("The WebP file begins with an unknown chunk.")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the marker segments to the start of frame (ITU-T T.81, annex B)."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        found = JPEG_MARKER.search(data, position)  # decoders skip bytes between segments
        if found is None:
            raise IndexError
        marker, position = found[0][-1], found.end()
        if marker in JPEG_START_OF_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker == JPEG_START_OF_SCAN:
            break
        if marker not in JPEG_STANDALONE_MARKERS:
            position += struct.unpack_from(">H", data, position)[0]
    raise CorruptMediaError("The JPEG has no start of frame.")


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Read the first image file directory (TIFF 6.0, section 2)."""
    values: dict[int, int] = {}
    for tag, code, offset in _tiff_entries(data):
        if tag not in TIFF_SIZE_TAGS or tag in values:  # libtiff takes the first of equal tags
            continue
        if code is None:
            raise CorruptMediaError("The TIFF gives its size in an unusual type.")
        values[tag] = struct.unpack_from(code, data, offset)[0]
        if len(values) == len(TIFF_SIZE_TAGS):
            return values[TIFF_SIZE_TAGS[0]], values[TIFF_SIZE_TAGS[1]]
    raise CorruptMediaError("The TIFF does not give its size.")


def without_alpha_in_tiff(data: bytes) -> bytes:
    """Mark the alpha of a TIFF as already in the colours, so that libtiff leaves the colours alone.

    Else libtiff would multiply them by alpha, which no other decoder does.

    Raises:
        CorruptMediaError: the directory ends early.
    """
    try:
        for tag, code, offset in _tiff_entries(data):
            if tag == TIFF_EXTRA_SAMPLES_TAG and code is not None:
                patched = bytearray(data)
                struct.pack_into(code, patched, offset, TIFF_ASSOCIATED_ALPHA)
                return bytes(patched)
    except struct.error:
        raise CorruptMediaError("The TIFF directory ends early. Upload it again.") from None
    return data


def _tiff_entries(data: bytes) -> Iterator[tuple[int, str | None, int]]:
    """Walk the first directory: yield each tag, the code of its number, and the number's place.

    The code, as of `struct`, is None unless the entry holds one whole number.
    """
    order = "<" if data[:2] == b"II" else ">"
    directory = struct.unpack_from(order + "I", data, 4)[0]
    entries = struct.unpack_from(order + "H", data, directory)[0]
    for index in range(min(entries, MAX_TIFF_ENTRIES)):
        offset = directory + 2 + 12 * index
        tag, field_type, count = struct.unpack_from(order + "HHI", data, offset)
        code = TIFF_TYPE_CODES.get(field_type) if count == 1 else None
        yield tag, code and order + code, offset + 8


def _exactly(data: bytes, start: int, length: int) -> bytes:
    if len(data) < start + length:
        raise IndexError
    return data[start : start + length]


_READERS = {
    ImageFormat.PNG: _png_size,
    ImageFormat.JPEG: _jpeg_size,
    ImageFormat.WEBP: _webp_size,
    ImageFormat.GIF: _gif_size,
    ImageFormat.BMP: _bmp_size,
    ImageFormat.TIFF: _tiff_size,
}
