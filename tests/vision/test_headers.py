import cv2
import numpy as np
import pytest

from visionops_assets.errors import CorruptMediaError, UnsupportedMediaError
from visionops_assets.vision.headers import ImageFormat, image_format, image_size

PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)

ENCODINGS = [
    (".jpg", [], ImageFormat.JPEG),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], ImageFormat.JPEG),
    (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 1], ImageFormat.JPEG),
    (".png", [], ImageFormat.PNG),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80], ImageFormat.WEBP),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101], ImageFormat.WEBP),
    (".gif", [], ImageFormat.GIF),
    (".bmp", [], ImageFormat.BMP),
    (".tiff", [], ImageFormat.TIFF),
]


def encode(extension: str, options: list[int]) -> bytes:
    return cv2.imencode(extension, PIXELS, options)[1].tobytes()


@pytest.mark.parametrize(("extension", "options", "expected"), ENCODINGS)
def test_format_and_size_are_read_from_the_header(
    extension: str, options: list[int], expected: ImageFormat
) -> None:
    data = encode(extension, options)
    assert image_format(data[:32]) is expected
    assert image_size(data) == (53, 37)


@pytest.mark.parametrize(("extension", "options", "expected"), ENCODINGS)
def test_a_header_that_ends_early_is_corrupt(
    extension: str, options: list[int], expected: ImageFormat
) -> None:
    data = encode(extension, options)
    with pytest.raises(CorruptMediaError):
        image_size(data[:8] if expected is ImageFormat.GIF else data[:20])


def test_big_endian_tiff_and_extended_webp() -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x02" + b"\x01\0\0\x04\0\0\0\x01\0\0\x10\0"
    tiff += b"\x01\x01\0\x03\0\0\0\x01\x08\0\0\0"
    assert image_size(tiff) == (4096, 2048)
    webp = b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x0f\0" + b"\xff\x07\0"
    assert image_size(webp) == (4096, 2048)


def test_a_top_down_bitmap_has_a_positive_height() -> None:
    data = bytearray(encode(".bmp", []))
    data[22:26] = (-37).to_bytes(4, "little", signed=True)
    assert image_size(bytes(data)) == (53, 37)


def test_zero_pixels_are_corrupt_and_text_is_unsupported() -> None:
    data = bytearray(encode(".png", []))
    data[16:20] = bytes(4)
    with pytest.raises(CorruptMediaError, match="0 x 37"):
        image_size(bytes(data))
    with pytest.raises(UnsupportedMediaError):
        image_size(b"BMW is a car maker and this is a sentence about it")
