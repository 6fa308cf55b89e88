"""The table of `preprocessing.py`: what any image becomes as 8-bit RGB."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.vision.corpus import saved
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    TooManyPixelsError,
    UnsupportedEncodingError,
)
from visionops_assets.vision.gif import MAX_BLOCKS
from visionops_assets.vision.headers import image_size
from visionops_assets.vision.preprocessing import Frame, preprocess_image

SIDE_PX = 16
SPEC = PreprocessingSpec(size_px=SIDE_PX)
SIZE = (SIDE_PX, SIDE_PX)
ORANGE = (200, 100, 50)
SAMPLES_16_BIT = np.array([0, 127, 128, 129, 255, 257, 1_000, 33_024, 65_280, 65_535], np.uint16)


def frame_of(data: bytes) -> Frame:
    """Decode a picture of 16 x 16, which is not resized."""
    return preprocess_image(data, SPEC, max_pixels=10_000)


def colour_of(data: bytes) -> tuple[int, ...]:
    """Return the one colour of a picture that has no other."""
    (colour,) = np.unique(frame_of(data).reshape(-1, 3), axis=0)
    return tuple(colour.tolist())


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """Add a chunk behind the header of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + struct.pack(">I", len(body)) + name + body + checksum + png[33:]


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_gray_becomes_three_equal_channels(file_format: str) -> None:
    assert colour_of(saved(Image.new("L", SIZE, 77), file_format)) == pytest.approx(
        (77,) * 3, abs=1
    )


@pytest.mark.parametrize(
    ("file_format", "bits"),
    [("PNG", 1), ("PNG", 2), ("PNG", 4), ("PNG", 8), ("GIF", 8), ("BMP", 8), ("TIFF", 8)],
)
def test_a_palette_is_looked_up(file_format: str, bits: int) -> None:
    image = Image.new("P", SIZE, 1)
    image.putpalette([10, 20, 30, *ORANGE])
    assert colour_of(saved(image, file_format, bits=bits)) == ORANGE


@pytest.mark.parametrize(
    ("file_format", "compression"),
    [("PNG", None), ("GIF", None), ("BMP", None), ("TIFF", None), ("TIFF", "group4")],
)
def test_one_bit_is_black_or_white(file_format: str, compression: str | None) -> None:
    image = Image.new("1", SIZE, 0)
    image.paste(1, (8, 0, 16, 16))
    frame = frame_of(saved(image, file_format, compression=compression))
    assert (frame[:, :8] == 0).all()
    assert (frame[:, 8:] == 255).all()


@pytest.mark.parametrize(
    ("extension", "channels", "expected"),
    [
        (".png", 1, SAMPLES_16_BIT >> 8),
        (".png", 3, SAMPLES_16_BIT >> 8),
        (".png", 4, SAMPLES_16_BIT >> 8),
        (".tiff", 1, SAMPLES_16_BIT >> 8),
        (".tiff", 3, np.rint(SAMPLES_16_BIT / 257)),
    ],
)
def test_16_bits_become_8(extension: str, channels: int, expected: Frame) -> None:
    samples = np.zeros((SIDE_PX, SIDE_PX, channels), np.uint16)
    samples[:, : len(SAMPLES_16_BIT)] = SAMPLES_16_BIT[:, None]
    frame = frame_of(cv2.imencode(extension, samples)[1].tobytes())
    for channel in range(3):
        assert frame[0, : len(expected), channel].tolist() == expected.tolist()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_unknown_range_are_refused(mode: str) -> None:
    with pytest.raises(UnsupportedEncodingError):
        frame_of(saved(Image.new(mode, SIZE, 100), "TIFF"))


@pytest.mark.parametrize("alpha", [0, 128, 255])
@pytest.mark.parametrize(
    ("file_format", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})],
)
def test_transparency_is_dropped(file_format: str, options: dict[str, object], alpha: int) -> None:
    image = Image.new("RGBA", SIZE, (*ORANGE, alpha))
    assert colour_of(saved(image, file_format, **options)) == ORANGE


def test_transparency_by_colour_is_dropped() -> None:
    image = Image.new("P", SIZE, 1)
    image.putpalette([10, 20, 30, *ORANGE])
    for file_format in ("PNG", "GIF"):
        assert colour_of(saved(image, file_format, transparency=1)) == ORANGE
    assert colour_of(saved(Image.new("RGB", SIZE, ORANGE), "PNG", transparency=ORANGE)) == ORANGE
    assert colour_of(saved(Image.new("LA", SIZE, (77, 0)), "PNG")) == (77, 77, 77)


@pytest.mark.parametrize(
    "ink",
    [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (9, 90, 40, 99)],
)
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_inks_become_light(file_format: str, ink: tuple[int, int, int, int]) -> None:
    expected = [(255 - of_ink) * (255 - ink[3]) / 255 for of_ink in ink[:3]]
    data = saved(Image.new("CMYK", SIZE, ink), file_format, quality=100)
    assert colour_of(data) == pytest.approx(expected, abs=2)


def test_ycck_is_cmyk_behind_a_change_of_colour_space() -> None:
    # Pillow writes no YCCK: let the Adobe segment call the samples of a CMYK file YCCK.
    stored = (180, 100, 150, 220)
    image = Image.new("CMYK", SIZE, tuple(255 - sample for sample in stored))
    data = bytearray(saved(image, "JPEG", quality=100))
    data[data.index(b"Adobe") + 11] = 2
    light = np.asarray(Image.new("YCbCr", (1, 1), stored[:3]).convert("RGB"), float)[0, 0]
    # libjpeg gives C = 255 - R and so on; Adobe stores how much of an ink is left out.
    expected = (255 - light) * stored[3] / 255
    assert colour_of(bytes(data)) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_pictures_counts(file_format: str) -> None:
    later = [Image.new("RGB", SIZE, "white"), Image.new("RGB", SIZE, "black")]
    data = saved(
        Image.new("RGB", SIZE, ORANGE),
        file_format,
        save_all=True,
        append_images=later,
        duration=100,
        lossless=True,
    )
    assert colour_of(data) == ORANGE


def test_a_still_before_an_animation_is_not_its_first_picture() -> None:
    later = [Image.new("RGB", SIZE, ORANGE), Image.new("RGB", SIZE, "black")]
    still = Image.new("RGB", SIZE, "white")
    data = saved(still, "PNG", save_all=True, append_images=later, duration=9, default_image=True)
    assert colour_of(data) == ORANGE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("file_format", "scale"), [("JPEG", 1), ("JPEG", 4), ("PNG", 1), ("WEBP", 1), ("TIFF", 1)]
)
def test_every_orientation_comes_upright_once(
    file_format: str, scale: int, orientation: int
) -> None:
    quarters = np.zeros((2, 2, 3), np.uint8)
    quarters[0], quarters[1] = ((250, 0, 0), (0, 250, 0)), ((0, 0, 250), (250, 250, 0))
    size = (SIDE_PX * scale, SIDE_PX * scale)
    image = Image.fromarray(quarters).resize(size, Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(image, file_format, exif=exif, quality=95)
    image.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    frame = frame_of(data).astype(int)
    for row, column in ((4, 4), (4, 12), (12, 4), (12, 12)):
        expected = upright[row * scale, column * scale]
        assert np.abs(frame[row, column] - expected).max() <= 8


TRANSPARENT_GREEN, CANVAS_COLOUR = (0, 255, 0), (10, 20, 30)


def gif(
    canvas: tuple[int, int], place: tuple[int, int], *, transparent: int | None, background: int = 0
) -> bytes:
    """Return a GIF with a picture of 16 x 16 at a place: left half orange, right half green."""
    image = Image.new("P", SIZE, 1)
    image.paste(2, (8, 0, 16, 16))
    image.putpalette([*CANVAS_COLOUR, *ORANGE, *TRANSPARENT_GREEN, 255, 255, 255])
    data = saved(image, "GIF", optimize=False)
    table = 3 * (2 << (data[10] & 7))
    picture = data.index(b"\x2c", 13 + table)
    head = data[:6] + struct.pack("<HHBB", *canvas, data[10], background) + b"\0"
    control = b"\x21\xf9\x04\x01\0\0" + bytes([transparent or 0]) + b"\0"
    placed = data[picture : picture + 1] + struct.pack("<HH", *place) + data[picture + 5 :]
    comment = b"\x21\xfe\x03abc\0"
    return (
        head + data[13 : 13 + table] + comment + (b"" if transparent is None else control) + placed
    )


@pytest.mark.parametrize("transparent", [None, 1, 2])
@pytest.mark.parametrize("background", [0, 1])
@pytest.mark.parametrize("canvas", [(16, 16), (9, 5), (0, 0)])
def test_a_gif_shows_what_is_stored(
    canvas: tuple[int, int], background: int, transparent: int | None
) -> None:
    frame = frame_of(gif(canvas, (0, 0), transparent=transparent, background=background))
    assert (frame[:, :8] == ORANGE).all()
    assert (frame[:, 8:] == TRANSPARENT_GREEN).all()


def test_a_gif_beyond_its_canvas_makes_it_grow() -> None:
    data = gif((20, 20), (16, 16), transparent=2)
    assert image_size(data) == (32, 32)
    frame = preprocess_image(data, PreprocessingSpec(size_px=32), max_pixels=1024)
    assert (frame[:16] == CANVAS_COLOUR).all()
    assert (frame[16:, :16] == CANVAS_COLOUR).all()
    assert (frame[16:, 16:24] == ORANGE).all()
    with pytest.raises(TooManyPixelsError):
        preprocess_image(data, SPEC, max_pixels=1023)


@pytest.mark.parametrize("place", [(65_535, 0), (0, 65_530)])
def test_a_gif_beyond_the_largest_canvas_is_corrupt(place: tuple[int, int]) -> None:
    with pytest.raises(CorruptMediaError):
        preprocess_image(gif((16, 16), place, transparent=2), SPEC, max_pixels=10**8)


def test_the_walk_through_a_gif_ends() -> None:
    whole = gif((9, 5), (0, 0), transparent=2)
    table_end = 13 + 3 * (2 << (whole[10] & 7))
    for blocks in (MAX_BLOCKS - 5, MAX_BLOCKS + 5):
        comment = b"\x21\xfe" + b"\x01x" * blocks + b"\0"
        data = whole[:table_end] + comment + whole[table_end:]
        assert image_size(data) == ((16, 16) if blocks < MAX_BLOCKS else (9, 5))


def test_gamma_and_a_broken_profile_are_ignored() -> None:
    png = saved(Image.new("RGB", SIZE, ORANGE), "PNG")
    assert colour_of(with_chunk(png, b"gAMA", struct.pack(">I", 100_000))) == ORANGE
    assert colour_of(with_chunk(png, b"cICP", bytes([9, 16, 0, 1]))) == ORANGE
    profile = b"\0" * 128
    assert colour_of(saved(Image.new("RGB", SIZE, ORANGE), "PNG", icc_profile=profile)) == ORANGE
