import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.corpus import CASES
from visionops_assets.errors import TooManyPixelsError, UnsupportedMediaError
from visionops_assets.vision import headers, tiff
from visionops_assets.vision.headers import JPEG_MARKER
from visionops_assets.vision.inspection import check_image_header

BOMBS = [name for name in CASES if name.startswith("bomb.") and name != "bomb.webm"]
SOUND = ["cmyk.jpg", "alpha.png", "animated.gif", "palette.bmp", "alpha.webp", "rgb16.tiff"]
SIGNATURES = [
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_told_by_its_header(name: str) -> None:
    with pytest.raises(TooManyPixelsError, match="65500 x 65500"):
        check_image_header(CASES[name].make(), max_pixels=50_000_000)


@pytest.mark.parametrize("name", SOUND)
def test_the_limit_itself_passes(name: str) -> None:
    check_image_header(CASES[name].make(), max_pixels=48 * 32)
    with pytest.raises(TooManyPixelsError, match="48 x 32"):
        check_image_header(CASES[name].make(), max_pixels=48 * 32 - 1)


@pytest.mark.parametrize("name", [n for n in [*BOMBS, *SOUND] if not n.endswith(".gif")])
def test_a_header_that_ends_beyond_the_bytes_passes(name: str) -> None:
    check_image_header(CASES[name].make()[:18], max_pixels=1)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(UnsupportedMediaError):
        check_image_header(b"<svg/>", max_pixels=1)


@given(st.sampled_from(SIGNATURES), st.binary(max_size=500))
def test_hostile_bytes_have_no_other_effect(signature: bytes, noise: bytes) -> None:
    try:
        check_image_header(signature + noise, max_pixels=1)
    except (TooManyPixelsError, UnsupportedMediaError):
        return


@pytest.mark.parametrize(
    "hostile",
    [b"\xff\xd8\xff" + b"\xff\xd0" * 500_000, b"\xff\xd8\xff" + b"\xff\xe0\0\2" * 500_000,
     b"\xff\xd8\xff" + b"\xff" * 1_000_000, b"II*\0\x08\0\0\0\xff\xff" + b"\1\0\0\0" * 500_000],
)  # fmt: skip
def test_an_endless_header_is_given_up(hostile: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After steps that are counted here, not timed: it is the header's parts that may be many."""
    steps = 0

    def unpack_from(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        return struct.unpack_from(*arguments)

    class Marker:
        def search(self, *arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            return JPEG_MARKER.search(*arguments)

    counted = SimpleNamespace(error=struct.error, unpack_from=unpack_from, calcsize=struct.calcsize)
    monkeypatch.setattr(headers, "struct", counted)
    monkeypatch.setattr(tiff, "struct", counted)
    monkeypatch.setattr(headers, "JPEG_MARKER", Marker())
    check_image_header(hostile, max_pixels=1)
    assert 1 <= steps <= 2_100
