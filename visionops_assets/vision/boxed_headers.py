"""Reads the size of images that are made of boxes: HEIC, AVIF and JPEG 2000.

Sources: ISO/IEC 14496-12, section 4.2 (boxes), ISO/IEC 23008-12, section 6.5.3 (`ispe`), and
ISO/IEC 15444-1, annexes A.5.1 (the marker SIZ) and I.4 (boxes).
"""

import struct
from collections.abc import Iterator

from visionops_assets.errors import CorruptMediaError

SIZE_BOX = (b"meta", b"iprp", b"ipco", b"ispe")
# A version and flags stand before what these boxes hold.
VERSION_BYTES = {b"meta": 4}
CODESTREAM = b"\xff\x4f\xff\x51"
# No camera writes more; hostile files must not keep us walking.
MAX_BOXES = 1_024


def heif_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels, before any rotation: of the largest picture in the file.

    A picture may be a grid of tiles. The largest one is the picture itself.

    Raises:
        CorruptMediaError: none is given.
    """
    sizes = [struct.unpack_from(">II", data, at + 4) for at in _places(data, SIZE_BOX)]
    if not sizes:
        raise CorruptMediaError("The file does not give the size of its picture.")
    return max(sizes, key=lambda size: size[0] * size[1])


def jpeg2000_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels from the codestream, which may lie in boxes.

    Raises:
        CorruptMediaError: the file has no codestream.
        struct.error: it ends early.
    """
    start = 0 if data.startswith(CODESTREAM) else next(_places(data, (b"jp2c",)), None)
    if start is None or data[start : start + 4] != CODESTREAM:
        raise CorruptMediaError("The JPEG 2000 file has no codestream.")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    return right - left, bottom - top


def _places(data: bytes, path: tuple[bytes, ...]) -> Iterator[int]:
    """Find the contents of all boxes at the end of this path."""
    spans = [(0, len(data))]
    for name in path:
        spans = [
            (start + VERSION_BYTES.get(name, 0), end)
            for span in spans
            for found, start, end in _boxes(data, *span)
            if found == name
        ]
    yield from (start for start, _ in spans)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes of a span: their names, and where their contents begin and end."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        length, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1 and start + 16 <= end:
            length, header = struct.unpack_from(">Q", data, start + 8)[0], 16
        stop = end if length == 0 else start + length
        if length and length < header:
            return
        yield name, start + header, min(stop, end)
        start = stop
