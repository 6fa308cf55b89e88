import hashlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import EmptyMediaError, TooLargeError, UnsupportedMediaError
from visionops_assets.services.ingest.measuring import MeasuredUpload
from visionops_assets.vision.sniffing import SNIFF_BYTES

PNG_HEAD = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0"


@given(tail_bytes=st.integers(0, 4 * SNIFF_BYTES), chunk_bytes=st.integers(1, 3 * SNIFF_BYTES))
def test_what_passes_by_is_measured_and_unchanged(tail_bytes: int, chunk_bytes: int) -> None:
    data = PNG_HEAD + bytes(i % 251 for i in range(tail_bytes))
    upload = MeasuredUpload(BytesIO(data), len(data), chunk_bytes)
    assert b"".join(upload.chunks()) == data
    content = upload.content()
    assert content.bytes == len(data)
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert (content.kind, content.content_type) == (MediaKind.IMAGE, "image/png")


@given(excess_bytes=st.integers(1, 3 * SNIFF_BYTES), max_bytes=st.integers(1, 3 * SNIFF_BYTES))
def test_a_file_over_the_limit_never_passes_whole(excess_bytes: int, max_bytes: int) -> None:
    data = PNG_HEAD.ljust(max_bytes + excess_bytes, b"\0")
    passed: list[bytes] = []
    upload = MeasuredUpload(BytesIO(data), max_bytes, chunk_bytes=1)
    with pytest.raises(TooLargeError):
        passed.extend(upload.chunks())
    assert sum(map(len, passed)) <= max_bytes


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyMediaError),
        (b"#!/bin/sh\nrm -rf /\n", UnsupportedMediaError),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", UnsupportedMediaError),
    ],
)
def test_refused_content_passes_no_byte(data: bytes, error: type[Exception]) -> None:
    chunks = MeasuredUpload(BytesIO(data), 1_000_000).chunks()
    with pytest.raises(error):
        next(chunks)


def test_no_more_than_one_chunk_is_read_ahead() -> None:
    file = BytesIO(PNG_HEAD.ljust(10 * SNIFF_BYTES, b"\0"))
    chunks = MeasuredUpload(file, 1_000_000, SNIFF_BYTES).chunks()
    next(chunks)
    assert file.tell() == SNIFF_BYTES


def test_measurements_are_refused_before_there_are_any() -> None:
    with pytest.raises(RuntimeError):
        MeasuredUpload(BytesIO(PNG_HEAD), 1_000_000).content()
