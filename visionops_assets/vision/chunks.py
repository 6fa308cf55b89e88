"""Walks the chunks of PNG and WebP, which hold pixels, notes and profiles."""

import zlib
from collections.abc import Iterator

# A photograph of 100 MB has some 12,000. Hostile files must not keep us walking.
MAX_CHUNKS = 65_536
HEADER_BYTES = 8
Chunk = tuple[bytes, bytes]


def png_chunks(data: bytes, names: frozenset[bytes]) -> Iterator[Chunk]:
    """Yield the chunks of these names (PNG third edition, section 5), those behind the pixels too.

    A chunk at the end of a file that was cut off is shorter than it says.
    """
    position = 8
    for _ in range(MAX_CHUNKS):
        header = data[position : position + HEADER_BYTES]
        if len(header) < HEADER_BYTES:
            return
        length, name = int.from_bytes(header[:4], "big"), header[4:]
        if name in names:
            yield name, data[position + HEADER_BYTES : position + HEADER_BYTES + length]
        position += HEADER_BYTES + length + 4


def is_whole_png(data: bytes) -> bool:
    """Say whether the chunks of a PNG follow each other up to the last one, IEND."""
    position = 8
    for _ in range(MAX_CHUNKS):
        header = data[position : position + HEADER_BYTES]
        length, name = int.from_bytes(header[:4], "big"), header[4:]
        position += HEADER_BYTES + length + 4
        if name == b"IEND" or position > len(data):
            break
    return position <= len(data)


def webp_chunks(data: bytes, names: frozenset[bytes]) -> Iterator[Chunk]:
    """Yield the chunks of these names (RFC 9649, section 2.7), as above."""
    position = 12
    for _ in range(MAX_CHUNKS):
        header = data[position : position + HEADER_BYTES]
        if len(header) < HEADER_BYTES:
            return
        length, name = int.from_bytes(header[4:], "little"), header[:4]
        if name in names:
            yield name, data[position + HEADER_BYTES : position + HEADER_BYTES + length]
        position += HEADER_BYTES + length + length % 2


def inflated(body: bytes, max_bytes: int) -> bytes:
    """Inflate no more than `max_bytes`; what is not deflated gives nothing."""
    try:
        return zlib.decompressobj().decompress(body, max_bytes)
    except zlib.error:
        return b""
