"""Sizes of HEIC, AVIF and JPEG 2000 are read from boxes of every form, and from those alone."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.boxed_headers import heif_size, jpeg2000_size

FORMS = ("short", "long", "to the end")
SIDES = st.integers(1, (1 << 32) - 1)


def box(name: bytes, content: bytes, form: str = "short") -> bytes:
    match form:
        case "long":
            return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content
        case "to the end":
            return struct.pack(">I4s", 0, name) + content
    return struct.pack(">I4s", 8 + len(content), name) + content


def ispe(width: int, height: int, form: str = "short") -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height), form)


def heif(properties: bytes, forms: tuple[str, str, str] = ("short",) * 3) -> bytes:
    inner = box(b"iprp", box(b"ipco", properties, forms[2]), forms[1])
    return box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", bytes(4) + inner, forms[0])


@given(SIDES, SIDES, st.tuples(*[st.sampled_from(FORMS)] * 4))
def test_a_size_is_found_in_boxes_of_every_form(
    width: int, height: int, forms: tuple[str, str, str, str]
) -> None:
    data = heif(box(b"hvcC", b"other") + ispe(width, height, forms[3]), forms[:3])
    assert heif_size(data) == (width, height)


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5))
def test_the_picture_of_most_pixels_counts(sizes: list[tuple[int, int]]) -> None:
    found = heif_size(heif(b"".join(ispe(*size) for size in sizes)))
    assert found in sizes
    assert found[0] * found[1] == max(width * height for width, height in sizes)


def test_the_place_of_a_box_matters() -> None:
    for data in (
        b"",
        ispe(4, 3),
        heif(b""),
        heif(box(b"isqe", bytes(12))),
        box(b"meta", box(b"iprp", box(b"ipco", ispe(4, 3)))),  # without the version of `meta`
        box(b"iprp", bytes(4) + box(b"meta", bytes(4) + box(b"ipco", ispe(4, 3)))),
    ):
        with pytest.raises(CorruptMediaError, match="does not give the size of its picture"):
            heif_size(data)


def test_a_box_ends_with_what_holds_it() -> None:
    """Else the next one could lie beyond the end, and be taken for its part."""
    inner = bytearray(box(b"ipco", b""))
    inner[:4] = struct.pack(">I", 1_000)
    data = box(b"meta", bytes(4) + box(b"iprp", bytes(inner))) + ispe(4, 3)
    with pytest.raises(CorruptMediaError, match="does not give the size"):
        heif_size(data)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_box_shorter_than_its_head_ends_the_walk(length: int) -> None:
    broken = struct.pack(">I4s", length, b"free")
    assert heif_size(heif(ispe(4, 3) + broken)) == (4, 3)
    for data in (broken + heif(ispe(4, 3))[:4], heif(broken), heif(broken + box(b"free", b""))):
        with pytest.raises(CorruptMediaError, match="does not give the size"):
            heif_size(data)


def test_the_walk_through_boxes_ends() -> None:
    assert heif_size(heif(box(b"free", b"") * 1_023 + ispe(4, 3))) == (4, 3)
    with pytest.raises(CorruptMediaError, match="does not give the size"):
        heif_size(heif(box(b"free", b"") * 1_024 + ispe(4, 3)))


def codestream(width: int, height: int, left: int = 0, top: int = 0) -> bytes:
    size = struct.pack(">4I", width + left, height + top, left, top)
    return b"\xff\x4f\xff\x51\0\x2f\0\0" + size + bytes(20)


@given(st.tuples(*[st.integers(0, (1 << 31) - 1)] * 4), st.sampled_from((None, *FORMS)))
def test_a_codestream_tells_its_size_with_and_without_boxes(
    numbers: tuple[int, int, int, int], form: str | None
) -> None:
    data = codestream(*numbers)
    if form is not None:
        data = box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", data, form)
    assert jpeg2000_size(data) == numbers[:2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        box(b"jp2h", codestream(4, 3)),
        box(b"jp2c", b"\xff\x4f\xff\x52" + codestream(4, 3)[4:]),
        box(b"jp2c", b"\0" + codestream(4, 3)),
    ],
)
def test_where_there_is_no_codestream_it_is_said(data: bytes) -> None:
    with pytest.raises(CorruptMediaError, match="The JPEG 2000 file has no codestream"):
        jpeg2000_size(data)
