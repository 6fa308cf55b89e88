"""A picture comes upright, wherever its file says how it is turned."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.vision.corpus import saved
from tests.vision.test_conversions import with_chunk
from tests.vision.tiffs import packed, tiff
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.vision.headers import ImageFormat, image_format
from visionops_assets.vision.orientation import MAX_NOTE_BYTES, orientation_of, upright
from visionops_assets.vision.preprocessing import preprocess_image
from visionops_assets.vision.second_decoder import decode_by_pillow

SIDE_PX = 64
CENTRES = [(16, 16), (16, 48), (48, 16), (48, 48)]
PREFIX = b"Exif\0\0"
XMP_KEYWORD = b"XML:com.adobe.xmp"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
ALL = range(1, 9)
DEFLATE = 8


def quarters() -> Image.Image:
    """Return a picture of four colours, 64 x 64, whose turns all differ."""
    corners = np.array([[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 0)]], np.uint8)
    return Image.fromarray(corners).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """Return an EXIF note with the orientation alone."""
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + {3: "H", 4: "I"}[kind], orientation).ljust(4, b"\0")
    return (
        mark
        + struct.pack(order + "HIH", 42, 8, 1)
        + struct.pack(order + "HHI", 274, kind, 1)
        + value
        + bytes(4)
    )


def xmp(orientation: int, *, is_element: bool = False) -> bytes:
    inside = (
        f"><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>"
        if is_element
        else f' tiff:Orientation="{orientation}"/>'
    )
    return f"<x:xmpmeta><rdf:Description{inside}</x:xmpmeta>".encode()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    data = saved(quarters(), "PNG")
    for name, body in reversed(chunks):
        data = with_chunk(data, name, body)
    return data


def profile(name: bytes, content: bytes) -> bytes:
    """Write a profile as ImageMagick does: in hexadecimal digits, 36 bytes per line."""
    digits = content.hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return b"\n" + name + b"\n%8d\n" % len(content) + "\n".join(lines).encode() + b"\n"


def text_profile(kind: bytes, content: bytes, chunk: bytes) -> bytes:
    text = profile(kind.lower(), content)
    body = b"\0" + zlib.compress(text) if chunk == b"zTXt" else text
    return png((chunk, b"Raw profile type " + kind + b"\0" + body))


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a lossless WebP whose header announces no notes, as some writers do."""
    data = saved(quarters(), "WEBP", lossless=True, exif=exif(1))
    body = data[12:]
    at = body.index(b"EXIF")
    body = body[:at]
    for name, note in chunks:
        body += name + struct.pack("<I", len(note)) + note + b"\0" * (len(note) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg(*notes: bytes) -> bytes:
    data = saved(quarters(), "JPEG", quality=95)
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(n) + 2) + n for n in notes)
    return data[:2] + segments + data[2:]


def itxt(content: bytes, *, is_deflated: bool = False) -> bytes:
    body = zlib.compress(content) if is_deflated else content
    return XMP_KEYWORD + b"\0" + bytes([is_deflated]) + b"\0en\0key\0" + body


def png_with_note_behind_the_pixels(orientation: int) -> bytes:
    data = png()
    note = exif(orientation)
    checksum = struct.pack(">I", zlib.crc32(b"eXIf" + note))
    return data[:-12] + struct.pack(">I", len(note)) + b"eXIf" + note + checksum + data[-12:]


def tiff_of(*fields: tuple[int, tuple[int, ...]], compression: int = 1) -> bytes:
    data = np.asarray(quarters()).tobytes()
    if compression == DEFLATE:
        data = zlib.compress(data)
    return tiff(
        data, (SIDE_PX,) * 2, samples=3, photometric=2, compression=compression, fields=dict(fields)
    )


def gray4(orientation: int) -> bytes:
    """Return a TIFF of 4 bits, which Pillow decodes."""
    levels = np.asarray(quarters().convert("L")) >> 4
    return tiff(packed(levels, 4), (SIDE_PX,) * 2, bits=4, fields={274: (orientation,)})


PLACES: dict[str, Callable[[int], bytes]] = {
    "PNG eXIf": lambda o: png((b"eXIf", exif(o, ">"))),
    "PNG eXIf with a prefix": lambda o: png((b"eXIf", PREFIX + exif(o))),
    "PNG eXIf at the end": png_with_note_behind_the_pixels,
    "PNG XMP": lambda o: png((b"iTXt", itxt(xmp(o)))),
    "PNG XMP deflated": lambda o: png((b"iTXt", itxt(xmp(o, is_element=True), is_deflated=True))),
    "PNG text exif": lambda o: text_profile(b"exif", PREFIX + exif(o), b"tEXt"),
    "PNG ztext exif": lambda o: text_profile(b"exif", PREFIX + exif(o, ">"), b"zTXt"),
    "PNG ztext exif bare": lambda o: text_profile(b"exif", exif(o), b"zTXt"),
    "PNG ztext APP1": lambda o: text_profile(b"APP1", PREFIX + exif(o), b"zTXt"),
    "PNG text APP1 of XMP": lambda o: text_profile(b"APP1", XMP_PREFIX + xmp(o), b"tEXt"),
    "PNG ztext xmp": lambda o: text_profile(b"xmp", xmp(o), b"zTXt"),
    "WebP EXIF": lambda o: webp((b"EXIF", exif(o))),
    "WebP EXIF with a prefix, MM": lambda o: webp((b"EXIF", PREFIX + exif(o, ">"))),
    "WebP EXIF with a prefix, II": lambda o: webp((b"ICCP", b"odd"), (b"EXIF", PREFIX + exif(o))),
    "WebP XMP": lambda o: webp((b"XMP ", xmp(o))),
    "JPEG EXIF": lambda o: jpeg(PREFIX + exif(o)),
    "JPEG EXIF, 32 bits": lambda o: jpeg(PREFIX + exif(o, ">", 4)),
    "JPEG XMP": lambda o: jpeg(XMP_PREFIX + xmp(o)),
    "JPEG EXIF beside XMP": lambda o: jpeg(XMP_PREFIX + xmp(9 - o), PREFIX + exif(o)),
    "TIFF": lambda o: tiff_of((274, (o,))),
    "TIFF deflated": lambda o: tiff_of((274, (o,)), compression=DEFLATE),
    "TIFF XMP": lambda o: tiff_of((700, tuple(xmp(o)))),
    "TIFF beside XMP": lambda o: tiff_of((274, (o,)), (700, tuple(xmp(9 - o)))),
    "PNG EXIF beside XMP": lambda o: png((b"iTXt", itxt(xmp(9 - o))), (b"eXIf", exif(o))),
    "JPEG EXIF without it, then XMP": lambda o: jpeg(PREFIX + exif(0), XMP_PREFIX + xmp(o)),
}


@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("place", PLACES)
def test_it_comes_upright(place: str, orientation: int) -> None:
    stored = quarters()
    stored.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    spec = PreprocessingSpec(size_px=SIDE_PX)
    frame = preprocess_image(PLACES[place](orientation), spec, max_pixels=10_000).astype(int)
    for row, column in CENTRES:
        assert np.abs(frame[row, column] - expected[row, column]).max() <= 8


@pytest.mark.parametrize("orientation", ALL)
def test_the_second_decoder_turns_too(orientation: int) -> None:
    gray = Image.fromarray((np.asarray(quarters().convert("L")) >> 4) * 17)
    gray.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(gray))
    pixels, _ = decode_by_pillow(gray4(orientation), ImageFormat.TIFF)
    assert np.array_equal(pixels, np.dstack([expected] * 3))


@pytest.mark.parametrize("orientation", ALL)
def test_a_turn_keeps_the_shape_that_the_picture_has(orientation: int) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = Image.fromarray(pixels)
    image.getexif()[274] = orientation
    assert np.array_equal(upright(pixels, orientation), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize(
    "data",
    [
        png((b"eXIf", exif(0))),
        png((b"eXIf", exif(9))),
        png((b"eXIf", b"II")),
        png((b"eXIf", exif(6)[:-9])),
        png((b"iTXt", itxt(b"<x/>"))),
        png((b"iTXt", XMP_KEYWORD + b"\0\1\0\0\0no zlib")),
        png((b"zTXt", b"Raw profile type exif\0\0no zlib")),
        png((b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz")),
        png((b"tEXt", b"Raw profile type exif\0")),
        png((b"tEXt", b"Raw profile type iptc\0" + profile(b"iptc", exif(6)))),
        png((b"tEXt", b"Comment\0" + xmp(6))),
        webp((b"EXIF", b"")),
        jpeg(PREFIX),
        jpeg(b"http://ns.adobe.com/xmp/extension/\0" + xmp(6)),
    ],
)
def test_a_note_that_says_nothing_turns_nothing(data: bytes) -> None:
    assert orientation_of(data, image_format(data) or ImageFormat.BMP) == 1


def exif_of(tag: int, amount: int, orientation: int = 6) -> bytes:
    """Return an EXIF note with one field of so many numbers."""
    return struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, tag, 3, amount, orientation, 0)


@pytest.mark.parametrize("note", [exif_of(274, 0), exif_of(271, 1), exif_of(274, 1, 9), b"II*\0"])
def test_xmp_counts_where_exif_says_nothing(note: bytes) -> None:
    for data in (
        jpeg(PREFIX + note, b"http://ns.adobe.com/xap/1.0/\0" + xmp(3)),
        webp((b"EXIF", note), (b"XMP ", xmp(3))),
        png((b"eXIf", note), (b"iTXt", itxt(xmp(3)))),
    ):
        assert orientation_of(data, image_format(data) or ImageFormat.BMP) == 3


def test_exif_counts_before_xmp_wherever_it_stands() -> None:
    for notes in ((exif_of(274, 1), xmp(3)), (exif_of(274, 1, 1), xmp(3))):
        data = webp((b"XMP ", notes[1]), (b"EXIF", notes[0]))
        expected = notes[0][18]
        assert orientation_of(data, ImageFormat.WEBP) == expected
    twice = webp((b"XMP ", xmp(3)), (b"XMP ", xmp(6)))
    assert orientation_of(twice, ImageFormat.WEBP) == 3


def test_a_note_is_inflated_to_its_limit_only() -> None:
    for blank, expected in ((MAX_NOTE_BYTES // 2, 6), (MAX_NOTE_BYTES, 1)):
        data = png((b"iTXt", itxt(b" " * blank + xmp(6), is_deflated=True)))
        assert orientation_of(data, ImageFormat.PNG) == expected


@given(st.sampled_from([ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP]), st.binary())
def test_any_bytes_have_an_orientation(found: ImageFormat, noise: bytes) -> None:
    start = {
        ImageFormat.JPEG: b"\xff\xd8\xff\xe1\0\x40" + PREFIX,
        ImageFormat.PNG: b"\x89PNG\r\n\x1a\n\0\0\0\x10eXIf",
        ImageFormat.WEBP: b"RIFF\0\0\0\0WEBPEXIF\x20\0\0\0",
    }[found]
    assert 1 <= orientation_of(start + noise, found) <= 8
    assert 1 <= orientation_of(start + b"II*\0\x08\0\0\0" + noise, found) <= 8
