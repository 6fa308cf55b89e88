"""The walks through PNG and WebP: each chunk once, up to the end, and no further than a limit."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.chunks import inflated, is_whole_png, png_chunks, webp_chunks

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BODIES = st.lists(st.tuples(st.sampled_from([b"tEXt", b"eXIf", b"IDAT"]), st.binary(max_size=9)))


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))


def webp_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def png(bodies: list[tuple[bytes, bytes]]) -> bytes:
    chunks = [*bodies, (b"IEND", b"")]
    return SIGNATURE + b"".join(png_chunk(name, body) for name, body in chunks)


@given(BODIES)
def test_chunks_of_a_name_come_in_their_order(bodies: list[tuple[bytes, bytes]]) -> None:
    names = frozenset({b"tEXt", b"eXIf"})
    asked = [(name, body) for name, body in bodies if name in names]
    assert list(png_chunks(png(bodies), names)) == asked
    webp = b"RIFF\0\0\0\0WEBP" + b"".join(webp_chunk(name, body) for name, body in bodies)
    assert list(webp_chunks(webp, names)) == asked


@given(BODIES, st.binary(max_size=20))
def test_a_png_is_whole_up_to_its_last_chunk(
    bodies: list[tuple[bytes, bytes]], tail: bytes
) -> None:
    data = png(bodies)
    assert is_whole_png(data)
    assert is_whole_png(data + tail), "what stands behind the end is no part of it"
    for lost in range(1, len(data) - len(SIGNATURE)):
        assert not is_whole_png(data[:-lost])


def test_a_chunk_that_was_cut_off_is_shorter_than_it_says() -> None:
    data = SIGNATURE + png_chunk(b"eXIf", b"12345678")
    assert list(png_chunks(data[:-8], frozenset({b"eXIf"}))) == [(b"eXIf", b"1234")]
    webp = b"RIFF\0\0\0\0WEBP" + webp_chunk(b"EXIF", b"12345678")
    assert list(webp_chunks(webp[:-4], frozenset({b"EXIF"}))) == [(b"EXIF", b"1234")]


@pytest.mark.parametrize(("before", "is_found"), [(65_535, True), (65_536, False)])
def test_the_walks_end(before: int, is_found: bool) -> None:
    names = frozenset({b"last"})
    png_ = SIGNATURE + png_chunk(b"none", b"") * before + png_chunk(b"last", b"x")
    assert bool(list(png_chunks(png_, names))) == is_found
    webp = b"RIFF\0\0\0\0WEBP" + webp_chunk(b"none", b"") * before + webp_chunk(b"last", b"x")
    assert bool(list(webp_chunks(webp, names))) == is_found


@given(st.binary(max_size=300), st.integers(1, 200))
def test_no_more_is_inflated_than_allowed(body: bytes, most: int) -> None:
    assert inflated(zlib.compress(body), most) == body[:most]
    assert inflated(b"\xff" + body, most) == b""
