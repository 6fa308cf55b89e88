import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.services.ingest_bodies import PNG_HEAD, arriving, collected, cut_at
from tests.vision.corpus import png_bomb
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import (
    EmptyMediaError,
    MediaError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedMediaError,
)
from visionops_assets.services.ingest.measuring import MeasuredUpload, in_chunks
from visionops_assets.vision.sniffing import SNIFF_BYTES

PLACES = st.lists(st.integers(0, 5 * SNIFF_BYTES), max_size=8)


def measured(
    pieces: list[bytes], *, max_bytes: int = 1_000_000, chunk_bytes: int = SNIFF_BYTES
) -> MeasuredUpload:
    return MeasuredUpload(
        arriving(pieces), max_bytes=max_bytes, max_pixels=1_000_000, chunk_bytes=chunk_bytes
    )


@given(st.binary(max_size=200), PLACES, st.integers(1, 50))
@example(b"123456789012", [7], 5)
def test_chunks_are_the_same_bytes_in_equal_sizes(
    data: bytes, places: list[int], chunk_bytes: int
) -> None:
    chunks = asyncio.run(collected(in_chunks(arriving(cut_at(data, places)), chunk_bytes)))
    assert b"".join(chunks) == data
    assert all(len(chunk) == chunk_bytes for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= chunk_bytes for chunk in chunks[-1:])


@given(
    tail_bytes=st.integers(0, 4 * SNIFF_BYTES),
    places=PLACES,
    chunk_bytes=st.integers(1, 3 * SNIFF_BYTES),
)
def test_what_passes_by_is_measured_and_unchanged(
    tail_bytes: int, places: list[int], chunk_bytes: int
) -> None:
    data = PNG_HEAD + bytes(i % 251 for i in range(tail_bytes))
    upload = measured(cut_at(data, places), max_bytes=len(data), chunk_bytes=chunk_bytes)
    assert b"".join(asyncio.run(collected(upload.chunks()))) == data
    content = upload.content()
    assert content.bytes == len(data)
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert (content.kind, content.content_type) == (MediaKind.IMAGE, "image/png")


@given(
    excess_bytes=st.integers(1, 3 * SNIFF_BYTES),
    max_bytes=st.integers(1, 3 * SNIFF_BYTES),
    places=PLACES,
)
def test_a_file_over_the_limit_never_passes_whole(
    excess_bytes: int, max_bytes: int, places: list[int]
) -> None:
    data = PNG_HEAD.ljust(max_bytes + excess_bytes, b"\0")
    passed_bytes = 0

    async def take_all() -> None:
        nonlocal passed_bytes
        async for chunk in measured(cut_at(data, places), max_bytes=max_bytes).chunks():
            passed_bytes += len(chunk)

    with pytest.raises(TooLargeError):
        asyncio.run(take_all())
    assert passed_bytes <= max_bytes


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyMediaError),
        (b"#!/bin/sh\nrm -rf /\n", UnsupportedMediaError),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", UnsupportedMediaError),
        (png_bomb(), TooManyPixelsError),
    ],
    ids=["empty", "script", "concat script", "bomb"],
)
@pytest.mark.parametrize("piece_bytes", [1, 10, SNIFF_BYTES])
def test_refused_content_passes_no_byte(
    data: bytes, error: type[MediaError], piece_bytes: int
) -> None:
    pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]

    async def take_one() -> None:
        await anext(measured(pieces).chunks())

    with pytest.raises(error):
        asyncio.run(take_one())


def test_no_more_than_one_chunk_is_read_ahead() -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(10):
            taken += SNIFF_BYTES
            yield PNG_HEAD.ljust(SNIFF_BYTES, b"\0")

    async def take_one() -> None:
        upload = MeasuredUpload(
            body(), max_bytes=1_000_000, max_pixels=100, chunk_bytes=SNIFF_BYTES
        )
        await anext(upload.chunks())

    asyncio.run(take_one())
    assert taken == SNIFF_BYTES


def test_measurements_are_refused_before_there_are_any() -> None:
    with pytest.raises(RuntimeError):
        measured([PNG_HEAD]).content()
