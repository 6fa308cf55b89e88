"""Which decoder an image goes to, whether its profile counts, and what its errors say."""

import struct

import cv2
import numpy as np
import pytest

from tests.vision.icc_profiles import ADOBE
from tests.vision.tiffs import tiff
from visionops_assets.errors import CorruptMediaError, UnsupportedEncodingError
from visionops_assets.vision import images
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.icc import to_srgb
from visionops_assets.vision.images import Pixels, decode_by_opencv, decode_image

PICTURE = np.full((4, 6, 3), (200, 100, 50), np.uint8)
FOREIGN = tiff(bytes(24), (6, 4), bits=2)
"""Which the second decoder knows."""


class Second:
    """A second decoder that notes what it is asked."""

    def __init__(self, profile: bytes | None = None) -> None:
        self.profile = profile
        self.asked: list[ImageFormat] = []

    def __call__(self, data: bytes, found: ImageFormat) -> tuple[Pixels, bytes | None]:
        self.asked.append(found)
        return PICTURE.copy(), self.profile


def png() -> bytes:
    return cv2.imencode(".png", PICTURE[..., ::-1])[1].tobytes()


def test_only_what_opencv_does_not_decode_goes_to_the_second_decoder() -> None:
    second = Second()
    assert np.array_equal(decode_image(png(), 4, max_pixels=24, second_decoder=second), PICTURE)
    assert second.asked == []
    assert np.array_equal(decode_image(FOREIGN, 4, max_pixels=24, second_decoder=second), PICTURE)
    assert second.asked == [ImageFormat.TIFF]


def test_what_no_decoder_at_hand_knows_is_refused_by_name() -> None:
    second, deeper = Second(), tiff(bytes(24), (6, 4), bits=10)
    for data, decoder in ((FOREIGN, None), (deeper, second), (deeper, None)):
        with pytest.raises(UnsupportedEncodingError, match=r"TIFF of (2|10) bits per sample"):
            decode_image(data, 4, max_pixels=24, second_decoder=decoder)
    assert second.asked == []


@pytest.mark.parametrize("profile", [None, ADOBE])
def test_a_profile_counts_unless_it_is_to_be_ignored(profile: bytes | None) -> None:
    second = Second(profile)
    kept = decode_image(FOREIGN, 4, max_pixels=24, profile="ignored", second_decoder=second)
    assert np.array_equal(kept, PICTURE)
    found = decode_image(FOREIGN, 4, max_pixels=24, second_decoder=second)
    assert np.array_equal(found, PICTURE if profile is None else to_srgb(PICTURE, profile))
    assert np.array_equal(found, PICTURE) == (profile is None)


@pytest.mark.parametrize("error", [IndexError(), struct.error("short")])
def test_a_header_that_ends_early_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(images, "foreign_coding", fail)
    with pytest.raises(CorruptMediaError, match="The PNG header ends early"):
        decode_image(png(), 4, max_pixels=24)


@pytest.mark.parametrize("is_reduced", [False, True])
def test_only_a_jpeg_is_reduced_while_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, is_reduced: bool
) -> None:
    asked = []

    def decoded(_: bytes, flags: int) -> Pixels:
        asked.append(flags & (cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR))
        return PICTURE

    monkeypatch.setattr(images, "decode_by_opencv", decoded)
    large = np.zeros((64, 64, 3), np.uint8)
    for extension in (".jpg", ".png", ".bmp", ".webp"):
        data = cv2.imencode(extension, large)[1].tobytes()
        decode_image(data, 32 if is_reduced else 33, max_pixels=4_096)
    assert [bool(flag) for flag in asked] == [is_reduced, False, False, False]


@pytest.mark.parametrize(
    ("code", "told", "words"),
    [
        (cv2.Error.StsNoMem, MemoryError, "no memory for the pixels"),
        (cv2.Error.StsError, CorruptMediaError, "does not decode"),
    ],
)
def test_errors_of_opencv_say_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, code: int, told: type[Exception], words: str
) -> None:
    error = cv2.error("/source/of/opencv.cpp: failed")
    error.code = code

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(told, match=words) as raised:
        decode_by_opencv(b"x", cv2.IMREAD_COLOR)
    assert "source" not in str(raised.value)
