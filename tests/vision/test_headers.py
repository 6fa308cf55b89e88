import struct

import cv2
import numpy as np
import pytest

from visionops_assets.errors import (
    CorruptMediaError,
    TooManyPixelsError,
    UnsupportedMediaError,
)
from visionops_assets.vision.headers import (
    MAX_JPEG_SEGMENTS,
    ImageFormat,
    check_pixels,
    image_format,
    image_size,
)
from visionops_assets.vision.tiff import MAX_TIFF_ENTRIES

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


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (16_384, 3)])
def test_a_webp_of_each_kind_has_the_size_that_it_declares(width: int, height: int) -> None:
    """Extended (24 bits each), lossless (14 bits) and lossy ones (14 bits, then a scale)."""
    head = b"RIFF\x24\0\0\0WEBP"
    extended = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    assert image_size(head + b"VP8X\x0a\0\0\0\0\0\0\0" + extended) == (width, height)
    bits = struct.pack("<I", width - 1 | height - 1 << 14 | 1 << 28)
    assert image_size(head + b"VP8L\x0a\0\0\0\x2f" + bits) == (width, height)
    if width < 1 << 14:
        sizes = struct.pack("<HH", width | 1 << 14, height | 2 << 14)
        lossy = b"VP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a" + sizes
        assert image_size(head + lossy) == (width, height)
    with pytest.raises(CorruptMediaError, match="unknown chunk"):
        image_size(head + b"ALPH" + bytes(20))


@pytest.mark.parametrize("axis", ["width", "height"])
@pytest.mark.parametrize("pixels", [0, -5])
def test_a_side_without_pixels_is_corrupt_whichever_it_is(axis: str, pixels: int) -> None:
    sizes = {"width": 53, "height": 37} | {axis: pixels}
    size = struct.pack("<ii", sizes["width"], sizes["height"])
    data = b"BM" + bytes(12) + struct.pack("<I", 40) + size
    if axis == "height" and pixels < 0:  # its rows run from the top
        assert image_size(data) == (53, 5)
        return
    with pytest.raises(CorruptMediaError, match=f"BMP header declares .*{pixels}"):
        image_size(data)


def test_a_bitmap_of_os2_has_sizes_of_16_bits() -> None:
    data = b"BM" + bytes(12) + struct.pack("<IHH", 12, 53, 60_000)
    assert image_size(data) == (53, 60_000)


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


def tiff(*entries: tuple[int, int]) -> bytes:
    """Return the header of a TIFF with these tags, each a number of 32 bits."""
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory


@pytest.mark.parametrize("tag", [256, 257])
def test_of_equal_tags_the_first_counts_as_it_does_for_the_decoder(tag: int) -> None:
    """Else a small size hides the bomb that is decoded, or a large one a sound picture."""
    size = {256: 48, 257: 32}
    first = [(each, value) for each, value in size.items() if each == tag]
    rest = [(each, value) for each, value in size.items() if each != tag]
    assert image_size(tiff(*first, (tag, 65_500), *rest)) == (48, 32)
    huge = image_size(tiff((tag, 65_500), *first, *rest))
    assert huge == ((65_500, 32) if tag == 256 else (48, 65_500))


def test_the_walk_through_a_tiff_ends() -> None:
    filler, size = [(315, 0)], [(256, 48), (257, 32)]
    assert image_size(tiff(*filler * (MAX_TIFF_ENTRIES - 2), *size)) == (48, 32)
    with pytest.raises(CorruptMediaError, match="does not give its size"):
        image_size(tiff(*filler * (MAX_TIFF_ENTRIES - 1), *size))


def test_the_walk_through_a_jpeg_ends() -> None:
    """However many segments a hostile file has: no camera writes more before the size."""
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 32, 48) + bytes(10)
    start, filler = b"\xff\xd8", b"\xff\xe1\0\2"
    assert image_size(start + filler * (MAX_JPEG_SEGMENTS - 1) + frame) == (48, 32)
    with pytest.raises(CorruptMediaError, match="no start of frame"):
        image_size(start + filler * MAX_JPEG_SEGMENTS + frame)
    assert MAX_JPEG_SEGMENTS == MAX_TIFF_ENTRIES == 1_024


def test_a_marker_that_stands_alone_has_no_length_to_skip() -> None:
    """What follows it is the next marker, however it would read as a length."""
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 32, 48) + bytes(10)
    for marker in (0x01, 0xD0, 0xD7, 0xD8):
        data = b"\xff\xd8\xff" + bytes([marker]) + frame
        assert image_size(data) == (48, 32)
    assert image_size(b"\xff\xd8\xff\xfe\0\7hello" + frame) == (48, 32)
    assert image_size(b"\xff\xd8\xff\xdb\0\2fill\xff\xff" + frame) == (48, 32)
    for other in (0xC4, 0xC8, 0xCC):  # tables and conditions, not frames
        segment = b"\xff" + bytes([other]) + b"\0\x08" + bytes(6)
        assert image_size(b"\xff\xd8" + segment + frame) == (48, 32)


def test_a_jpeg_whose_pixels_begin_has_no_later_size() -> None:
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 32, 48) + bytes(10)
    with pytest.raises(CorruptMediaError, match="no start of frame"):
        image_size(b"\xff\xd8\xff\xda\0\2" + frame)


@pytest.mark.parametrize("lost", range(1, 7))
def test_a_size_of_which_bytes_are_missing_is_not_guessed(lost: int) -> None:
    """Fewer bytes would read as a smaller number, and a bomb as a small picture."""
    head = b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
    data = head + bytes([0xFF, 0x0F, 0]) + bytes([0xFF, 0x07, 0])
    with pytest.raises(CorruptMediaError, match="WEBP header ends early"):
        image_size(data[:-lost])


def test_the_first_chunk_of_a_png_is_its_header() -> None:
    data = encode(".png", [])
    with pytest.raises(CorruptMediaError, match="does not begin with its IHDR chunk"):
        image_size(data.replace(b"IHDR", b"IHDS"))


def test_a_marker_that_is_no_frame_has_no_size() -> None:
    """Tables of Huffman codes, of arithmetic coding, and JPG, lie among the codes of frames."""
    frame = b"\0\x11\x08" + struct.pack(">HH", 32, 48) + bytes(10)
    for marker in range(0xC0, 0xE0):
        data = b"\xff\xd8\xff" + bytes([marker]) + frame + b"\xff\xda"
        if marker in {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}:
            assert image_size(data) == (48, 32)
        else:
            with pytest.raises(CorruptMediaError):
                image_size(data)
    assert image_size(b"\xff\xd8\xff\xf7" + frame) == (48, 32), "JPEG-LS"


@pytest.mark.parametrize("pixels", [99, 100, 101])
def test_as_many_pixels_as_the_limit_are_accepted(pixels: int) -> None:
    if pixels <= 100:
        check_pixels(pixels, 1, 100)
        return
    with pytest.raises(TooManyPixelsError, match="declares 101 x 1 pixels; the limit is 100"):
        check_pixels(pixels, 1, 100)
