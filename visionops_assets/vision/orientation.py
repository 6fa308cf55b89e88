"""Reads how a stored picture is turned, and turns it upright.

EXIF says it (EXIF 2.32, tag 274), else XMP (`tiff:Orientation`); a picture without either is as it
is stored. OpenCV reads neither XMP, nor EXIF in text of a PNG, nor EXIF in WebP behind the prefix
that it has in JPEG. HEIC and AVIF are turned by their decoders, and TIFF by its own field.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.chunks import inflated, png_chunks, webp_chunks
from visionops_assets.vision.headers import ImageFormat, jpeg_segments
from visionops_assets.vision.tiff import Tag, tiff_bytes, tiff_numbers

Note = tuple[Literal["exif", "xmp"], bytes]

EXIF_PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")
JPEG_APP1 = 0xE1
XMP_KEYWORD = b"XML:com.adobe.xmp"
# ImageMagick keeps profiles as text: a name, a length, and hexadecimal digits.
TEXT_PROFILES = re.compile(rb"Raw profile type (exif|APP1|xmp)", re.IGNORECASE)
MAX_NOTE_BYTES = 1 << 20
WEBP_NOTES = frozenset({b"EXIF", b"XMP "})
PNG_NOTES = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})


def orientation_of(data: bytes, found: ImageFormat) -> int:
    """Return the orientation that no decoder applies, 1 to 8: of JPEG, PNG, WebP; of TIFF by XMP.

    It is 1 where nothing is said.
    """
    of_xmp = 1
    for kind, note in _NOTES[found](data):
        if kind == "exif":
            of_exif = _of_exif(note)
            if of_exif is not None:
                return of_exif
        elif of_xmp == 1 and (match := XMP_ORIENTATION.search(note[:MAX_NOTE_BYTES])):
            of_xmp = int(match[1])
    return of_xmp


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn a picture that is stored by this orientation, 1 to 8."""
    if orientation >= 5:  # noqa: PLR2004 - rows are columns from here on
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else np.asarray(cv2.flip(pixels, flip), np.uint8)


def _of_exif(note: bytes) -> int | None:
    if note[:4] not in (b"II*\0", b"MM\0*"):
        return None
    try:
        (orientation, *_) = tiff_numbers(note, {Tag.ORIENTATION}).get(Tag.ORIENTATION, (0,)) or (0,)
    except CorruptMediaError:
        return None
    return orientation if 1 <= orientation <= 8 else None  # noqa: PLR2004 - those that there are


def _app1(body: bytes) -> Iterator[Note]:
    if body.startswith(EXIF_PREFIX):
        yield "exif", body.removeprefix(EXIF_PREFIX)
    elif body.startswith(XMP_PREFIX):
        yield "xmp", body.removeprefix(XMP_PREFIX)


def _notes_of_jpeg(data: bytes) -> Iterator[Note]:
    with suppress(IndexError, struct.error):  # it ends early: its decoder will say so
        for marker, place, length in jpeg_segments(data):
            if marker == JPEG_APP1:
                yield from _app1(data[place + 2 : place + length])


def _notes_of_tiff(data: bytes) -> Iterator[Note]:
    with suppress(CorruptMediaError):
        note = tiff_bytes(data, Tag.XMP, MAX_NOTE_BYTES)
        if note is not None and not tiff_numbers(data, {Tag.ORIENTATION}):
            yield "xmp", note


def _notes_of_webp(data: bytes) -> Iterator[Note]:
    for name, body in webp_chunks(data, WEBP_NOTES):
        if name == b"EXIF":
            yield "exif", body.removeprefix(EXIF_PREFIX)
        else:
            yield "xmp", body


def _notes_of_png(data: bytes) -> Iterator[Note]:
    for name, body in png_chunks(data, PNG_NOTES):
        if name == b"eXIf":
            yield "exif", body.removeprefix(EXIF_PREFIX)
        else:
            yield from _note_of_text(name, body)


def _note_of_text(name: bytes, body: bytes) -> Iterator[Note]:
    keyword, _, text = body.partition(b"\0")
    profile = TEXT_PROFILES.fullmatch(keyword)
    if profile is None and keyword != XMP_KEYWORD:
        return
    is_deflated = name == b"zTXt"
    if name == b"iTXt":
        is_deflated = text[:1] == b"\1"
        _, _, text = text[2:].partition(b"\0")  # the language
        _, _, text = text.partition(b"\0")  # the keyword in it
    elif is_deflated:
        text = text[1:]
    if is_deflated:
        text = inflated(text, MAX_NOTE_BYTES)
    if profile is None:
        yield "xmp", text
        return
    yield from _note_of_profile(profile[1].lower(), text)


def _note_of_profile(kind: bytes, text: bytes) -> Iterator[Note]:
    words = text[:MAX_NOTE_BYTES].split(maxsplit=2)
    try:
        profile = bytes.fromhex(words[2].decode("ascii"))
    except (IndexError, ValueError):
        return
    if kind == b"xmp":
        yield "xmp", profile.removeprefix(XMP_PREFIX)
    elif profile[:2] in (b"II", b"MM"):
        yield "exif", profile
    else:
        yield from _app1(profile)


_NOTES = {
    ImageFormat.JPEG: _notes_of_jpeg,
    ImageFormat.PNG: _notes_of_png,
    ImageFormat.WEBP: _notes_of_webp,
    ImageFormat.TIFF: _notes_of_tiff,
}
