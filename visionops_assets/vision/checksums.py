"""Checks the checksums in a TIFF that libtiff does not look at. Runs inside the sandbox only."""

import zlib

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.headers import ImageFormat, image_format, image_size
from visionops_assets.vision.tiff import Tag, tiff_numbers

DEFLATE = frozenset({8, 32946})
PLACES = ((Tag.STRIP_OFFSETS, Tag.STRIP_BYTES), (Tag.TILE_OFFSETS, Tag.TILE_BYTES))
MAX_PARTS = 1 << 20
INFLATED_AT_ONCE = 1 << 20
MOST_BYTES_PER_PIXEL = 8  # four samples of 16 bits


def check_checksums(data: bytes) -> None:
    """Inflate each part of a TIFF that is compressed by Deflate: its end is a checksum.

    It takes as long as decoding. Parts without their end pass: libtiff needs only the pixels.

    Raises:
        CorruptMediaError: a part is damaged.
    """
    if image_format(data) is not ImageFormat.TIFF:
        return
    numbers = tiff_numbers(data, {Tag.COMPRESSION, *sum(PLACES, ())}, most=MAX_PARTS)
    if DEFLATE.isdisjoint(numbers.get(Tag.COMPRESSION, ())):
        return
    width, height = image_size(data)
    left = width * height * MOST_BYTES_PER_PIXEL
    for offsets, lengths in PLACES:
        for start, length in zip(numbers.get(offsets, ()), numbers.get(lengths, ()), strict=False):
            left = _inflate(memoryview(data)[start : start + length], left)


def _inflate(part: memoryview, most: int) -> int:
    """Inflate up to `most` bytes, and return how many of them are left."""
    inflater = zlib.decompressobj()
    rest: bytes | memoryview = part
    try:
        while len(rest) and most > 0:
            most -= len(inflater.decompress(rest, min(most, INFLATED_AT_ONCE)))
            rest = inflater.unconsumed_tail
    except zlib.error:
        raise CorruptMediaError("The TIFF is damaged inside. Upload it again.") from None
    return most
