"""Reads the first directory of a TIFF or a BigTIFF, before anything is decoded.

Sources: TIFF 6.0, section 2; "BigTIFF Design", libtiff. An EXIF note is such a file, too.
"""

import struct
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import NamedTuple

from visionops_assets.errors import CorruptMediaError

BIG_VERSION = 43
NUMBER_CODES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
ASSOCIATED_ALPHA = 1
# No camera writes more; hostile files must not keep us walking.
MAX_TIFF_ENTRIES = 1_024
MAX_NUMBERS = 64


class Tag(IntEnum):
    """A field of a directory."""

    WIDTH = 256
    HEIGHT = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    STRIP_BYTES = 279
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    XMP = 700
    ICC_PROFILE = 34675


SIZE_TAGS = (Tag.WIDTH, Tag.HEIGHT)


class Entry(NamedTuple):
    """One field: its tag, the code of its numbers as of `struct`, how many, and their place.

    The code is None unless they are whole numbers without a sign.
    """

    tag: int
    code: str | None
    amount: int
    place: int


def tiff_entries(data: bytes) -> Iterator[Entry]:
    """Walk the first directory.

    Raises:
        struct.error: the file ends early.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", data, 2)[0] == BIG_VERSION
    word, entry = order + ("Q" if is_big else "I"), order + ("HHQ" if is_big else "HHI")
    directory = struct.unpack_from(word, data, 8 if is_big else 4)[0]
    counter = order + ("Q" if is_big else "H")
    inline_bytes, header_bytes = struct.calcsize(word), struct.calcsize(entry)
    start = directory + struct.calcsize(counter)
    entries = _unpack(counter, data, directory)[0]
    for index in range(min(entries, MAX_TIFF_ENTRIES)):
        offset = start + index * (header_bytes + inline_bytes)
        tag, field_type, count = _unpack(entry, data, offset)
        code = NUMBER_CODES.get(field_type)
        place = offset + header_bytes
        if code is not None and count * struct.calcsize(order + code) > inline_bytes:
            place = _unpack(word, data, place)[0]
        yield Entry(tag, code and order + code, count, place)


def tiff_numbers(
    data: bytes, tags: Collection[int], most: int = MAX_NUMBERS
) -> dict[int, tuple[int, ...]]:
    """Read the numbers of these tags, at most `most` per tag; tags that are not there are left out.

    Raises:
        CorruptMediaError: the directory ends early.
    """
    found: dict[int, tuple[int, ...]] = {}
    try:
        for entry in tiff_entries(data):
            if entry.tag in tags and entry.tag not in found and entry.code is not None:
                found[entry.tag] = _numbers(data, entry, most)
    except struct.error:
        raise CorruptMediaError("The TIFF directory ends early. Upload it again.") from None
    return found


def tiff_bytes(data: bytes, tag: int, max_bytes: int) -> bytes | None:
    """Read a field of bytes; None if it is not there, or longer than `max_bytes`.

    Raises:
        CorruptMediaError: the directory ends early.
    """
    try:
        for entry in tiff_entries(data):
            if entry.tag == tag and entry.code is not None and entry.amount <= max_bytes:
                return data[entry.place : entry.place + entry.amount]
    except struct.error:
        raise CorruptMediaError("The TIFF directory ends early. Upload it again.") from None
    return None


def tiff_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels.

    Raises:
        CorruptMediaError: they are not given.
        struct.error: the file ends early.
    """
    values: dict[int, int] = {}
    for entry in tiff_entries(data):
        if entry.tag not in SIZE_TAGS or entry.tag in values:  # libtiff takes the first of equals
            continue
        if entry.code is None or entry.amount != 1:
            raise CorruptMediaError("The TIFF gives its size in an unusual type.")
        values[entry.tag] = _numbers(data, entry, 1)[0]
        if len(values) == len(SIZE_TAGS):
            return values[Tag.WIDTH], values[Tag.HEIGHT]
    raise CorruptMediaError("The TIFF does not give its size.")


def without_alpha_in_tiff(data: bytes) -> bytes:
    """Mark the alpha of a TIFF as already in the colours, so that libtiff leaves the colours alone.

    Else libtiff would multiply them by alpha, which no other decoder does.

    Raises:
        CorruptMediaError: the directory ends early.
    """
    try:
        for entry in tiff_entries(data):
            if entry.tag == Tag.EXTRA_SAMPLES and entry.code is not None and entry.amount == 1:
                patched = bytearray(data)
                struct.pack_into(entry.code, patched, entry.place, ASSOCIATED_ALPHA)
                return bytes(patched)
    except struct.error:
        raise CorruptMediaError("The TIFF directory ends early. Upload it again.") from None
    return data


def _numbers(data: bytes, entry: Entry, most: int) -> tuple[int, ...]:
    order, code = (entry.code or "<B")[0], (entry.code or "<B")[1]
    return _unpack(f"{order}{min(entry.amount, most)}{code}", data, entry.place)


def _unpack(code: str, data: bytes, offset: int) -> tuple[int, ...]:
    """Unpack, and take an offset that no memory has for one behind the end."""
    return struct.unpack_from(code, data, min(offset, len(data)))
