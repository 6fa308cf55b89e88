"""Compressed messages: every codec is there and bounded, whatever a batch says of itself."""

import gzip
import io
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.record import default_records
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from visionops_assets.resources import codecs
from visionops_assets.resources.codecs import DECODERS, bound_decompression, bounded

ROOT = Path(__file__).parents[2]
LIMIT = 100_000


def xerial(data: bytes) -> bytes:
    block = bytes(cramjam.snappy.compress_raw(data))
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + struct.pack(">I", len(block)) + block


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip_decode": gzip.compress,
    "lz4_decode": lz4.frame.compress,
    "snappy_decode": xerial,
    "zstd_decode": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=1_000))
def test_what_was_compressed_comes_back(name: str, data: bytes) -> None:
    assert bounded(DECODERS[name])(ENCODERS[name](data)) == data


@pytest.mark.parametrize("name", DECODERS)
def test_too_much_is_refused_before_it_is_in_memory(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecs, "MAX_BATCH_BYTES", LIMIT)
    decode = bounded(DECODERS[name])
    assert len(decode(ENCODERS[name](bytes(LIMIT)))) == LIMIT
    with pytest.raises(CorruptRecordError, match=r"100,000|memory"):
        decode(ENCODERS[name](bytes(50 * LIMIT)))


def test_a_snappy_block_that_claims_gigabytes_is_refused() -> None:
    with pytest.raises(CorruptRecordError, match="says that it has more"):
        bounded(DECODERS["snappy_decode"])(b"\xff\xff\xff\xff\x0f" + b"x" * 10)


@pytest.mark.parametrize("name", DECODERS)
@given(garbage=st.binary(min_size=1, max_size=100))
def test_garbage_is_a_corrupt_record_and_nothing_else(name: str, garbage: bytes) -> None:
    try:
        bounded(DECODERS[name])(garbage)
    except CorruptRecordError:
        return


@pytest.mark.parametrize("name", ["gzip_decode", "lz4_decode"])
def test_what_was_cut_off_is_not_taken_for_all(name: str) -> None:
    with pytest.raises(CorruptRecordError):
        bounded(DECODERS[name])(ENCODERS[name](bytes(range(256)) * 9)[:-9])


@pytest.mark.parametrize(("name", "kind"), [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)])
def test_kafkas_reader_uses_them(name: str, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = MemoryRecordsBuilder(magic=2, compression_type=kind, batch_size=10**6)
    builder.append(0, b"key", b"value" * 100)
    builder.close()
    bound_decompression()
    (batch,) = MemoryRecords(bytes(builder.buffer()))
    assert [record.value for record in batch] == [b"value" * 100]
    monkeypatch.setattr(codecs, "MAX_BATCH_BYTES", 10)
    (batch,) = MemoryRecords(bytes(builder.buffer()))
    with pytest.raises(CorruptRecordError):
        list(batch)
    assert getattr(default_records, f"{name}_decode").__module__ == codecs.__name__


def test_every_environment_that_reads_the_queue_has_every_codec() -> None:
    """Triton's, the third lock file, only writes to it."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for lock in ("requirements.lock", "requirements-app.lock"):
        locked = {line.partition("==")[0] for line in io.StringIO((ROOT / lock).read_text())}
        assert {"kafka-python", "lz4", "python-snappy", "zstandard"} <= locked
    for name in ("lz4", "python-snappy", "zstandard"):
        assert any(one.startswith(f"{name}>=") for one in declared)
