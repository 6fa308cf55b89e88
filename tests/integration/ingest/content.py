"""Files to upload, each one new."""

import zlib
from uuid import uuid4


def png(padding_bytes: int = 0) -> bytes:
    """Make a file that no test made before: a PNG of one pixel with a comment."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    header = chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    comment = chunk(b"tEXt", b"id\0" + uuid4().hex.encode() + b"." * padding_bytes)
    pixel = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return b"\x89PNG\r\n\x1a\n" + header + comment + pixel + chunk(b"IEND", b"")
