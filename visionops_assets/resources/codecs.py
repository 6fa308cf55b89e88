"""Decompression of the queue's messages, bounded: one hostile batch takes no process with it.

kafka-python decompresses whatever it is given, into memory without a limit, and fails in as many
ways as there are codecs. Here each codec stops at a limit and fails as `CorruptRecordError`.
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
"""Of one batch, decompressed. Brokers accept 1 MiB of it compressed, which media events and
predictions shrink to a fifth."""

XERIAL, XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16
"""Of the framing in which Kafka's Java clients write Snappy."""

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
    # A decoder allocates what each block says of itself.
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
    """Make a decoder fail as `CorruptRecordError` for any fault, and for too much."""

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
