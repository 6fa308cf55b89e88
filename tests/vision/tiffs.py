"""TIFF files of any kind, as bytes: encoders write few kinds, and cameras many."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

SHORT, LONG = 3, 4
BYTE = 1
CODES = {BYTE: "B", SHORT: "H", LONG: "I"}
XMP = 700
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
JPEG_OFFSET, JPEG_BYTES = 513, 514
PLACES = {STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, JPEG_OFFSET, JPEG_BYTES}


def packed(samples: npt.NDArray[np.integer], bits: int) -> bytes:
    """Pack rows of samples, each row from a byte on, as a TIFF stores them."""
    rows = samples.reshape(len(samples), -1).astype(np.uint32)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint32)
    digits = ((rows[..., None] >> shifts) & 1).astype(np.uint8)
    return np.packbits(digits.reshape(len(rows), -1), axis=1).tobytes()


def tiff(
    data: bytes | Sequence[bytes],
    size: tuple[int, int],
    *,
    bits: int = 8,
    samples: int = 1,
    photometric: int = 1,
    compression: int = 1,
    sample_format: int = 1,
    fields: Mapping[int, tuple[int, ...]] | None = None,
    order: str = "<",
    is_big: bool = False,
    is_tiled: bool = False,
) -> bytes:
    """Return a TIFF of one or more strips or tiles; `fields` are more of its numbers."""
    parts = [data] if isinstance(data, bytes) else list(data)
    width, height = size
    part_height = height // len(parts)
    places, lengths = (TILE_OFFSETS, TILE_BYTES) if is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
    values: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (bits,) * samples,
        259: (compression,),
        262: (photometric,),
        277: (samples,),
        339: (sample_format,) * samples,
        places: (0,) * len(parts),
        lengths: tuple(map(len, parts)),
        **({322: (width,), 323: (part_height,)} if is_tiled else {278: (part_height,)}),
        **(fields or {}),
    }
    inline, header = (8, 16) if is_big else (4, 8)
    entry_head, counter, word = ("HHQ", "Q", "Q") if is_big else ("HHI", "H", "I")
    entry_bytes = struct.calcsize(order + entry_head) + inline
    pool_at = header + struct.calcsize(order + counter) + len(values) * entry_bytes + inline
    strip_at = pool_at + sum(len(_stored(*each, order, inline)) for each in values.items())
    values[places] = tuple(strip_at + sum(map(len, parts[:index])) for index in range(len(parts)))
    if JPEG_OFFSET in values:
        values[JPEG_OFFSET] = (strip_at,)
    directory, pool = b"", b""
    for tag, numbers in sorted(values.items()):
        stored = _stored(tag, numbers, order, inline)
        directory += struct.pack(order + entry_head, tag, _kind(tag), len(numbers))
        directory += (
            struct.pack(order + word, pool_at + len(pool))
            if stored
            else (_encoded(tag, numbers, order).ljust(inline, b"\0"))
        )
        pool += stored
    mark = b"II" if order == "<" else b"MM"
    head = (43, 8, 0, 16) if is_big else (42, 8)
    start = mark + struct.pack(order + ("HHHQ" if is_big else "HI"), *head)
    count = struct.pack(order + counter, len(values))
    return start + count + directory + bytes(inline) + pool + b"".join(parts)


def _kind(tag: int) -> int:
    if tag == XMP:
        return BYTE
    return LONG if tag in PLACES else SHORT


def _encoded(tag: int, numbers: tuple[int, ...], order: str) -> bytes:
    return struct.pack(order + CODES[_kind(tag)] * len(numbers), *numbers)


def _stored(tag: int, numbers: tuple[int, ...], order: str, inline: int) -> bytes:
    """Return numbers that do not fit into their entry."""
    encoded = _encoded(tag, numbers, order)
    return encoded if len(encoded) > inline else b""
