"""A profile is taken from its own segments, chunks and fields alone, and only whole."""

import struct

import pytest

from tests.vision.tiffs import tiff
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.icc import MAX_PROFILE_BYTES
from visionops_assets.vision.profiles import embedded_profile

APP2, ICC = 0xE2, b"ICC_PROFILE\0"


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    return b"\xff\xd8" + b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in (*segments, (0xDA, b""))
    )


def found(*segments: tuple[int, bytes]) -> bytes | None:
    return embedded_profile(jpeg(*segments), ImageFormat.JPEG)


def part(number: int, count: int, body: bytes) -> tuple[int, bytes]:
    return APP2, ICC + bytes([number, count]) + body


def test_the_parts_of_a_jpeg_are_joined_by_their_numbers() -> None:
    assert found(part(1, 1, b"one")) == b"one"
    assert found(part(2, 2, b"two"), (0xE1, b"note"), part(1, 2, b"one")) == b"onetwo"


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [part(1, 2, b"one")],
        [part(2, 2, b"two")],
        [part(1, 2, b"one"), part(3, 2, b"three")],
        [part(0, 0, b"none")],
        [(0xE1, ICC + b"\1\1one")],
        [(APP2, b"FPXR\0\0\0\0\0\0\0\0\1\1one")],
        [(APP2, ICC)],
    ],
)
def test_anything_else_is_no_profile(segments: list[tuple[int, bytes]]) -> None:
    assert found(*segments) is None
    # Nor does it hide one, or become a part of it.
    if not any(body.startswith(ICC) and marker == APP2 for marker, body in segments):
        assert found(*segments, part(1, 1, b"one"), *segments) == b"one"


@pytest.mark.parametrize("excess", [0, 1])
def test_a_tiff_has_a_profile_up_to_its_limit(excess: int) -> None:
    profile = bytes([7]) * (MAX_PROFILE_BYTES + excess)
    # Field 700 is written as bytes: the profile stands in its place.
    data = tiff(bytes(16), (4, 4), fields={700: tuple(profile)}).replace(
        struct.pack("<HH", 700, 1), struct.pack("<HH", 34675, 7), 1
    )
    assert embedded_profile(data, ImageFormat.TIFF) == (None if excess else profile)
    assert embedded_profile(data[:30], ImageFormat.TIFF) is None
    assert embedded_profile(tiff(bytes(16), (4, 4)), ImageFormat.TIFF) is None
    assert embedded_profile(data, ImageFormat.GIF) is None
