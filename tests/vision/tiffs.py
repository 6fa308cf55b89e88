"""TIFF files of any kind, as bytes: encoders write few kinds, and cameras many."""

import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SHORT, LONG, LONG8 = 3, 4, 16
CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}
STRIP_OFFSETS = 273
JPEG_OFFSET, JPEG_BYTES = 513, 514


def packed(samples: npt.NDArray[np.integer], bits: int) -> bytes:
    """Pack rows of samples, each row from a byte on, as a TIFF stores them."""
    rows = samples.reshape(len(samples), -1).astype(np.uint32)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint32)
    digits = ((rows[..., None] >> shifts) & 1).astype(np.uint8)
    return np.packbits(digits.reshape(len(rows), -1), axis=1).tobytes()


def tiff(
    data: bytes,
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
) -> bytes:
    """Return a TIFF of one strip; `fields` are more of its numbers, of 16 bits if they fit."""
    width, height = size
    values: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (bits,) * samples,
        259: (compression,),
        262: (photometric,),
        STRIP_OFFSETS: (0,),
        277: (samples,),
        278: (height,),
        279: (len(data),),
        339: (sample_format,) * samples,
        **(fields or {}),
    }
    word, inline, header = ("Q", 8, 16) if is_big else ("I", 4, 8)
    entry_head, counter = ("HHQ", "Q") if is_big else ("HHI", "H")
    entry_bytes = struct.calcsize(order + entry_head) + inline
    pool_at = header + struct.calcsize(order + counter) + len(values) * entry_bytes + inline
    pool = b"".join(_stored(each, order, inline) for _, each in sorted(values.items()))
    strip_at = pool_at + len(pool)
    values[STRIP_OFFSETS] = (strip_at,)
    if JPEG_OFFSET in values:
        values[JPEG_OFFSET] = (strip_at,)
    directory, spent = b"", pool_at
    for tag, numbers in sorted(values.items()):
        kind = _kind(tag)
        directory += struct.pack(order + entry_head, tag, kind, len(numbers))
        encoded = struct.pack(order + CODES[kind] * len(numbers), *numbers)
        if len(encoded) <= inline:
            directory += encoded.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + word, spent)
            spent += len(encoded)
    mark = b"II" if order == "<" else b"MM"
    head = (43, 8, 0, 16) if is_big else (42, 8)
    start = mark + struct.pack(order + ("HHHQ" if is_big else "HI"), *head)
    count = struct.pack(order + counter, len(values))
    return start + count + directory + bytes(inline) + pool + data


def _kind(tag: int) -> int:
    return LONG if tag in {STRIP_OFFSETS, 279, JPEG_OFFSET, JPEG_BYTES} else SHORT


def _stored(numbers: tuple[int, ...], order: str, inline: int) -> bytes:
    """Return numbers of 16 bits that do not fit into their entry; those of 32 bits are alone."""
    encoded = struct.pack(f"{order}{len(numbers)}H", *numbers) if len(numbers) > 1 else b""
    return encoded if len(encoded) > inline else b""
