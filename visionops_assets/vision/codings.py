"""Names the codings of an image that OpenCV does not decode, or decodes wrongly without a word.

A file in such a coding is sound: it must not be called damaged, nor become a black frame. Those
that the second decoder knows are decoded by it, in the sandbox alone.
"""

import struct
from typing import NamedTuple

from visionops_assets.errors import UnsupportedEncodingError
from visionops_assets.vision.headers import (
    JPEG_START_OF_FRAME_MARKERS,
    ImageFormat,
    jpeg_segments,
)
from visionops_assets.vision.tiff import ASSOCIATED_ALPHA, Tag, tiff_numbers

JPEG_DEPTH = LAB_DEPTH = 8
JPEG_PROCESSES = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "the hierarchical process"),
    0xCB: "the lossless arithmetic process",
    0xF7: "JPEG-LS",
}

BMP_DEPTHS_OF_OPENCV = frozenset({1, 4, 8, 16, 24, 32})
BMP_COMPRESSIONS = {4: "JPEG inside BMP", 5: "PNG inside BMP"}
BMP_BIT_FIELDS = 3
BMP_FIELDS_OF_OPENCV = frozenset(
    {(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xFF0000, 0xFF00, 0xFF)}
)
BMP_SHORT_HEADER, BMP_OS2_HEADER = 16, 64

TIFF_COMPRESSIONS_OF_OPENCV = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})
TIFF_COMPRESSIONS_OF_PILLOW = {6: "old-style JPEG", 34925: "LZMA", 50000: "ZSTD"}
TIFF_COMPRESSIONS = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((34676, 34677), "SGI Log"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    **dict.fromkeys((22610, 34934), "JPEG XR"),
    32809: "ThunderScan",
    32909: "Pixar Log",
    34661: "JBIG",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34933: "PNG",
    50001: "WebP",
}
GRAY_PHOTOMETRICS, RGB, PALETTE, CMYK, YCBCR, CIELAB = frozenset({0, 1}), 2, 3, 5, 6, 8
TIFF_PHOTOMETRICS_OF_OPENCV = GRAY_PHOTOMETRICS | {RGB, PALETTE, CMYK, YCBCR}
TIFF_PHOTOMETRICS = {
    4: "a mask",
    9: "ICC Lab colours",
    10: "ITU Lab colours",
    32803: "raw colours of a sensor",
    32844: "LogL brightness",
    32845: "LogLuv colours",
    34892: "linear raw colours",
}
TIFF_SAMPLE_FORMATS = {2: "signed samples", 3: "floating-point samples"}
TIFF_UNSIGNED_FORMATS = frozenset({1, 4})  # whole numbers, and of an untold kind
TIFF_TAGS = frozenset(
    {
        Tag.BITS_PER_SAMPLE,
        Tag.COMPRESSION,
        Tag.PHOTOMETRIC,
        Tag.SAMPLES_PER_PIXEL,
        Tag.EXTRA_SAMPLES,
        Tag.SAMPLE_FORMAT,
    }
)
MAX_DEPTH, MAX_COLOUR_SAMPLES = 16, 4
PALETTE_DEPTHS_OF_OPENCV, PALETTE_DEPTHS_OF_PILLOW = frozenset({1, 4, 8}), frozenset({2})
GRAY_DEPTHS_OF_OPENCV, COLOUR_DEPTHS_OF_OPENCV = frozenset({1, 8, 16}), frozenset({8, 16})
GRAY_DEPTHS_OF_PILLOW = frozenset({2, 4, 12})


class Coding(NamedTuple):
    """A coding that OpenCV does not decode, and whether the second decoder does."""

    name: str
    has_second_decoder: bool


OF_PILLOW = {
    ImageFormat.AVIF: Coding("AVIF", True),
    ImageFormat.HEIC: Coding("HEIC", True),
    ImageFormat.JPEG2000: Coding("JPEG 2000", True),
    ImageFormat.PNM: Coding("PNM", True),
    ImageFormat.TGA: Coding("TGA", True),
}
"""Formats that are decoded in the sandbox alone: their decoders are large, or seldom used."""


def foreign_coding(data: bytes, found: ImageFormat) -> Coding | None:
    """Return the coding of an image by its header, or None if OpenCV decodes it.

    Raises:
        CorruptMediaError: the header ends early.
        IndexError: the same.
        struct.error: the same.
    """
    match found:
        case ImageFormat.JPEG:
            return _of_jpeg(data)
        case ImageFormat.BMP:
            return _of_bmp(data)
        case ImageFormat.TIFF:
            return _of_tiff(data)
    return OF_PILLOW.get(found)


def refusal(coding: Coding) -> UnsupportedEncodingError:
    """Return the error that names the coding."""
    return UnsupportedEncodingError(
        f"{coding.name} is not decoded here. The file is sound: convert it to PNG or JPEG."
    )


def _of_jpeg(data: bytes) -> Coding | None:
    for marker, place, _ in jpeg_segments(data):
        if marker in JPEG_PROCESSES:
            return Coding(f"JPEG by {JPEG_PROCESSES[marker]}", False)
        if marker in JPEG_START_OF_FRAME_MARKERS:
            depth = data[place + 2]
            return None if depth == JPEG_DEPTH else Coding(f"JPEG of {depth} bits", False)
    return None


def _of_bmp(data: bytes) -> Coding | None:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes <= BMP_SHORT_HEADER:
        return None
    depth, compression = struct.unpack_from("<HI", data, 28)
    is_known = compression <= BMP_BIT_FIELDS
    if header_bytes == BMP_OS2_HEADER and compression >= BMP_BIT_FIELDS:
        return Coding("BMP compressed by a method of OS/2", False)
    if not is_known:
        return Coding(BMP_COMPRESSIONS.get(compression, f"BMP of kind {compression}"), False)
    if depth not in BMP_DEPTHS_OF_OPENCV:
        return Coding(f"BMP of {depth} bits per pixel", False)
    if compression == BMP_BIT_FIELDS:
        is_known = struct.unpack_from("<III", data, 54) in BMP_FIELDS_OF_OPENCV
    return None if is_known else Coding("BMP of unusual bit fields", False)


def _of_tiff(data: bytes) -> Coding | None:
    numbers = tiff_numbers(data, TIFF_TAGS)
    first = {tag: values[0] for tag, values in numbers.items() if values}
    depths = set(numbers.get(Tag.BITS_PER_SAMPLE, ())) or {1}
    return (
        _of_samples(set(numbers.get(Tag.SAMPLE_FORMAT, (1,))), depths)
        or _of_compression(first.get(Tag.COMPRESSION, 1))
        or _of_colours(first, max(depths))
    )


def _of_samples(formats: set[int], depths: set[int]) -> Coding | None:
    foreign = formats - TIFF_UNSIGNED_FORMATS
    if foreign:
        return Coding(f"TIFF of {TIFF_SAMPLE_FORMATS.get(min(foreign), 'complex samples')}", False)
    if len(depths) > 1:
        return Coding("TIFF of samples of several depths", False)
    if max(depths) > MAX_DEPTH:
        return Coding(f"TIFF of {max(depths)} bits per sample", False)
    return None


def _of_compression(compression: int) -> Coding | None:
    if compression in TIFF_COMPRESSIONS_OF_OPENCV:
        return None
    if compression in TIFF_COMPRESSIONS_OF_PILLOW:
        return Coding(f"TIFF compressed by {TIFF_COMPRESSIONS_OF_PILLOW[compression]}", True)
    name = TIFF_COMPRESSIONS.get(compression, f"method {compression}")
    return Coding(f"TIFF compressed by {name}", False)


def _of_colours(first: dict[int, int], depth: int) -> Coding | None:
    photometric = first.get(Tag.PHOTOMETRIC, 1)
    if photometric == CIELAB:
        return Coding("TIFF of CIE Lab colours", depth == LAB_DEPTH)
    if photometric not in TIFF_PHOTOMETRICS_OF_OPENCV:
        name = TIFF_PHOTOMETRICS.get(photometric, f"colours of kind {photometric}")
        return Coding(f"TIFF of {name}", False)
    if first.get(Tag.EXTRA_SAMPLES) == ASSOCIATED_ALPHA:
        return Coding("TIFF of colours multiplied by alpha", photometric == RGB)
    if photometric in GRAY_PHOTOMETRICS | {PALETTE}:
        return _of_one_sample(photometric, depth)
    return _of_several_samples(first, photometric, depth)


def _of_one_sample(photometric: int, depth: int) -> Coding | None:
    if photometric == PALETTE:
        if depth in PALETTE_DEPTHS_OF_OPENCV:
            return None
        return _of_depth(depth, depth in PALETTE_DEPTHS_OF_PILLOW)
    if depth in GRAY_DEPTHS_OF_OPENCV:
        return None
    return _of_depth(depth, depth in GRAY_DEPTHS_OF_PILLOW)


def _of_several_samples(first: dict[int, int], photometric: int, depth: int) -> Coding | None:
    samples = first.get(Tag.SAMPLES_PER_PIXEL, 1)
    if depth not in COLOUR_DEPTHS_OF_OPENCV:
        return _of_depth(depth, False)
    if samples > MAX_COLOUR_SAMPLES:
        return Coding(f"TIFF of {samples} samples per pixel", False)
    if depth == MAX_DEPTH and photometric in {CMYK, YCBCR}:
        return _of_depth(depth, photometric == CMYK)
    return None


def _of_depth(depth: int, has_second_decoder: bool) -> Coding:
    return Coding(f"TIFF of {depth} bits per sample", has_second_decoder)
