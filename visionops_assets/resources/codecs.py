"""Decompresses the queue's messages within limits: a hostile batch cannot end a process.

kafka-python decompresses into memory without a limit, and each of its codecs fails in a way of its
own. Here each codec stops at a limit and fails as `CorruptRecordError`.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cramjam
import lz4.frame
import zstandard
from kafka.errors import CorruptRecordError
from kafka.record import default_records, legacy_records

MAX_BATCH_BYTES = 64 * 1024**2
"""Limit of one decompressed batch.

Brokers accept 1 MiB compressed, and media events and predictions shrink to a fifth.
"""

XERIAL, XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16
"""Begins the framing in which Kafka's Java clients write Snappy."""

Decode = Callable[[bytes], bytes]


def _gzip(payload: bytes) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    data = decoder.decompress(payload, MAX_BATCH_BYTES + 1)
    if len(data) <= MAX_BATCH_BYTES and not decoder.eof:
        raise EOFError("the gzip stream is cut off")
    return data


def _lz4(payload: bytes) -> bytes:
    decoder = lz4.frame.LZ4FrameDecompressor()
    data = bytes(decoder.decompress(payload, MAX_BATCH_BYTES + 1))
    if len(data) <= MAX_BATCH_BYTES and not decoder.eof:
        raise EOFError("the lz4 frame is cut off")
    return data


def _zstd(payload: bytes) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_BATCH_BYTES)
    with decoder.stream_reader(io.BytesIO(payload), read_across_frames=True) as reader:
        return reader.read(MAX_BATCH_BYTES + 1)


def _snappy(payload: bytes) -> bytes:
    # A decoder allocates the size that each block states.
    blocks = _xerial_blocks(payload) if payload.startswith(XERIAL) else [payload]
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > MAX_BATCH_BYTES:
        raise ValueError(f"it says that it has more than {MAX_BATCH_BYTES:,} bytes")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _xerial_blocks(payload: bytes) -> list[bytes]:
    blocks, position = [], XERIAL_HEADER_BYTES
    while position < len(payload):
        (size,) = struct.unpack_from(">I", payload, position)
        blocks.append(payload[position + 4 : position + 4 + size])
        position += 4 + size
    return blocks


DECODERS: Mapping[str, Decode] = MappingProxyType(
    {
        "gzip_decode": _gzip,
        "lz4_decode": _lz4,
        "snappy_decode": _snappy,
        "zstd_decode": _zstd,
    }
)
"""By their names in kafka-python."""


def bounded(decode: Decode) -> Decode:
    """Make a decoder fail as `CorruptRecordError` for any fault, and for too many bytes."""

    def decoded(payload: bytes) -> bytes:
        try:
            data = decode(bytes(payload))
        except Exception as error:
            raise CorruptRecordError(f"it does not decompress: {error}") from error
        if len(data) > MAX_BATCH_BYTES:
            raise CorruptRecordError(f"it decompresses to more than {MAX_BATCH_BYTES:,} bytes")
        return data

    return decoded


def bound_decompression() -> None:
    """Let kafka-python use these decoders. Its readers look them up where they were imported."""
    for module in (default_records, legacy_records):
        for name, decode in DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, bounded(decode))
