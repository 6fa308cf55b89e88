"""Reads the format and the size that an encoded image declares, before anything is decoded.

The size must be known first, because a file of a few bytes may declare an image of gigabytes.
Only the formats accepted here are known; decoding is in `images.py`.
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
from visionops_assets.vision.boxed_headers import heif_size, jpeg2000_size
from visionops_assets.vision.gif import gif_size
from visionops_assets.vision.tiff import tiff_size

BMP_OS2_HEADER_BYTES = 12
# Any number of fill bytes, then a code that is neither a fill nor a stuffed byte.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
JPEG_STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
JPEG_LS = 0xF7
JPEG_START_OF_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), JPEG_LS}) - {0xC4, 0xC8, 0xCC}
JPEG_START_OF_SCAN = 0xDA
# No camera writes more before the size; hostile files must not keep us walking.
MAX_JPEG_SEGMENTS = 1_024


PNM_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})"


class ImageFormat(StrEnum):
    """An accepted image format; the value is its MIME type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"
    AVIF = "image/avif"
    HEIC = "image/heic"
    JPEG2000 = "image/jp2"
    PNM = "image/x-portable-anymap"
    TGA = "image/x-tga"


# Two letters would let text through as BMP, so its next header must have a known size too.
# "CR" marks Canon's raw files, which are not plain TIFF. AVIF may call itself the general "mif1".
# Of PNM only the binary kinds count: the others are text. TGA has no magic number: its header must
# be one that writers of TGA write, and its 7 bytes of zeros occur in no video.
SIGNATURES = {
    ImageFormat.JPEG: re.compile(rb"\xff\xd8\xff"),
    ImageFormat.PNG: re.compile(rb"\x89PNG\r\n\x1a\n"),
    ImageFormat.WEBP: re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    ImageFormat.GIF: re.compile(rb"GIF8[79]a"),
    ImageFormat.BMP: re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL),
    ImageFormat.TIFF: re.compile(
        rb"(?:II\*\0|MM\0\*).{4}(?!CR)|II\+\0\x08\0\0\0|MM\0\+\0\x08\0\0", re.DOTALL
    ),
    ImageFormat.AVIF: re.compile(rb".{4}ftyp(?:avi[fs]|mif1.{4}(?:.{4}){0,8}?avif)", re.DOTALL),
    ImageFormat.HEIC: re.compile(rb".{4}ftyp(?:hei[cxms]|mif1)", re.DOTALL),
    ImageFormat.JPEG2000: re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0", re.DOTALL),
    ImageFormat.PNM: re.compile(rb"P[456]" + 2 * PNM_NUMBER + rb"\s"),
    ImageFormat.TGA: re.compile(
        rb".(?:\0[\x02\x0a]\0{5}.{4}(?!\0\0)..(?!\0\0)..[\x0f\x10\x18\x20]"
        rb"|\0[\x03\x0b]\0{5}.{4}(?!\0\0)..(?!\0\0)..\x08"
        rb"|\x01[\x01\x09]\0\0(?:.\0|\0\x01)[\x0f\x10\x18\x20].{4}(?!\0\0)..(?!\0\0)..\x08)"
        rb"[\0-\x3f]",
        re.DOTALL,
    ),
}


NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF, JPEG 2000, PNM, TGA"
"""The accepted formats, for messages."""


def image_format(head: bytes) -> ImageFormat | None:
    """Return the format by the first bytes, or None if it is not an accepted image."""
    return next((known for known, magic in SIGNATURES.items() if magic.match(head)), None)


def image_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels from the header, before any rotation by EXIF.

    Raises:
        UnsupportedMediaError: the format is not accepted.
        CorruptMediaError: the header ends early or declares no pixels.
    """
    found = image_format(data)
    if found is None:
        raise UnsupportedMediaError(f"The content is not an accepted image: {NAMES}.")
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


def _pnm_size(data: bytes) -> tuple[int, int]:
    found = SIGNATURES[ImageFormat.PNM].match(data)
    if found is None:
        raise IndexError
    return int(found[1]), int(found[2])


def _tga_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 12)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, place, _ in jpeg_segments(data):
        if marker in JPEG_START_OF_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
    raise CorruptMediaError("The JPEG has no start of frame.")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk the marker segments before the pixels (ITU-T T.81, annex B).

    Yields the marker's code, and the place and the value of the segment's length.

    Raises:
        IndexError: the file ends early.
        struct.error: the same.
    """
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        found = JPEG_MARKER.search(data, position)  # decoders skip bytes between segments
        if found is None:
            raise IndexError
        marker, position = found[0][-1], found.end()
        if marker == JPEG_START_OF_SCAN:
            return
        if marker in JPEG_STANDALONE_MARKERS:
            continue
        length = struct.unpack_from(">H", data, position)[0]
        yield marker, position, length
        position += length


def _exactly(data: bytes, start: int, length: int) -> bytes:
    if len(data) < start + length:
        raise IndexError
    return data[start : start + length]


_READERS = {
    ImageFormat.PNG: _png_size,
    ImageFormat.JPEG: _jpeg_size,
    ImageFormat.WEBP: _webp_size,
    ImageFormat.GIF: gif_size,
    ImageFormat.BMP: _bmp_size,
    ImageFormat.TIFF: tiff_size,
    ImageFormat.AVIF: heif_size,
    ImageFormat.HEIC: heif_size,
    ImageFormat.JPEG2000: jpeg2000_size,
    ImageFormat.PNM: _pnm_size,
    ImageFormat.TGA: _tga_size,
}
