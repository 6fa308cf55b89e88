"""The first directory of a TIFF: fields of every type and place, in both orders and both sizes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import TiffTags

from tests.vision.tiffs import tiff
from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.tiff import (
    Tag,
    tiff_bytes,
    tiff_entries,
    tiff_numbers,
    tiff_size,
    without_alpha_in_tiff,
)

# Types by TIFF 6.0, section 2, and BigTIFF: BYTE, SHORT, LONG, UNDEFINED, LONG8.
CODES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
OTHERS = {2: "s", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d"}
EARLY = "directory ends early"
Field = tuple[int, int, tuple[int, ...]]


def file(*fields: Field, order: str = "<", is_big: bool = False) -> bytes:
    """Return a TIFF of these fields alone: tag, type and numbers."""
    head, counter, word = ("HHQ", "Q", "Q") if is_big else ("HHI", "H", "I")
    start = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHHQ" if is_big else "HI"), *((43, 8, 0, 16) if is_big else (42, 8))
    )
    inline = struct.calcsize(order + word)
    entry = struct.calcsize(order + head) + inline
    at = len(start) + struct.calcsize(order + counter) + entry * len(fields)
    directory, pool = struct.pack(order + counter, len(fields)), b""
    for tag, kind, numbers in fields:
        data = struct.pack(f"{order}{len(numbers)}{CODES.get(kind, 'B')}", *numbers)
        if len(data) > inline:
            place = struct.pack(order + word, at + len(pool))
            pool += data
        else:
            place = data.ljust(inline, b"\0")
        directory += struct.pack(order + head, tag, kind, len(numbers)) + place
    return start + directory + pool


@given(
    st.sampled_from(sorted(CODES)),
    st.integers(1, 20),
    st.sampled_from("<>"),
    st.booleans(),
    st.data(),
)
def test_numbers_of_every_type_are_read_in_place_and_elsewhere(
    kind: int, amount: int, order: str, is_big: bool, data: st.DataObject
) -> None:
    most = 256 ** struct.calcsize("<" + CODES[kind]) - 1
    numbers = tuple(data.draw(st.integers(0, most)) for _ in range(amount))
    found = tiff_numbers(
        file((254, 4, (1,)), (258, kind, numbers), (259, 3, (5,)), order=order, is_big=is_big),
        {Tag.BITS_PER_SAMPLE, Tag.COMPRESSION},
    )
    assert found == {258: numbers, 259: (5,)}


@pytest.mark.parametrize("kind", OTHERS)
def test_numbers_of_another_type_are_left_out(kind: int) -> None:
    data = file((258, kind, (8,)), (259, 3, (5,)))
    assert tiff_numbers(data, {258, 259}) == {259: (5,)}
    assert [entry.code for entry in tiff_entries(data)] == [None, "<H"]
    assert tiff_bytes(file((700, kind, (1,))), 700, 10) is None
    assert without_alpha_in_tiff(file((338, kind, (2,)))) == file((338, kind, (2,)))


def test_of_equal_fields_the_first_counts() -> None:
    assert tiff_numbers(file((259, 3, (5,)), (259, 3, (7,))), {259}) == {259: (5,)}


def test_no_more_numbers_are_read_than_anybody_needs() -> None:
    many = tuple(range(70))
    assert tiff_numbers(file((258, 3, many)), {258}) == {258: many[:64]}
    assert tiff_numbers(file((258, 3, many)), {258}, most=3) == {258: many[:3]}


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_field_of_bytes_is_read_up_to_its_limit(order: str, is_big: bool) -> None:
    data = file((259, 3, (5,)), (700, 1, tuple(b"ten bytes!")), order=order, is_big=is_big)
    assert tiff_bytes(data, Tag.XMP, 10) == b"ten bytes!"
    assert tiff_bytes(data, Tag.XMP, 9) is None
    assert tiff_bytes(data, Tag.ICC_PROFILE, 10) is None


@pytest.mark.parametrize("sizes", [((256, 3, (40,)), (257, 4, (30,)))])
def test_a_size_is_one_number_of_each_side(sizes: tuple[Field, Field]) -> None:
    width, height = sizes
    assert tiff_size(file(width, height)) == tiff_size(file(height, width)) == (40, 30)
    for wrong in ((256, 3, (40, 41)), (256, 11, (40,)), (256, 3, ())):
        with pytest.raises(CorruptMediaError, match="gives its size in an unusual type"):
            tiff_size(file(wrong, height))
    for missing in (file(width), file(height), file()):
        with pytest.raises(CorruptMediaError, match="does not give its size"):
            tiff_size(missing)


@pytest.mark.parametrize("alpha", [0, 1, 2])
@pytest.mark.parametrize("is_big", [False, True])
def test_alpha_is_marked_as_in_the_colours_already(alpha: int, is_big: bool) -> None:
    fields = (277, 3, (4,)), (338, 3, (alpha,)), (339, 3, (1,))
    marked = file(fields[0], (338, 3, (1,)), fields[2], is_big=is_big)
    assert without_alpha_in_tiff(file(*fields, is_big=is_big)) == marked
    several = file((338, 3, (2, 0)), is_big=is_big)
    assert without_alpha_in_tiff(several) == several
    none = file(fields[0], is_big=is_big)
    assert without_alpha_in_tiff(none) == none


def test_a_directory_that_ends_early_is_said() -> None:
    data = file((254, 4, (1,)), (338, 3, (2,)), (700, 1, tuple(range(20))))
    for end in (9, 12, 30, 40):
        with pytest.raises(CorruptMediaError, match=EARLY):
            tiff_numbers(data[:end], {259})
        with pytest.raises(CorruptMediaError, match=EARLY):
            tiff_bytes(data[:end], Tag.ICC_PROFILE, 10)
    with pytest.raises(CorruptMediaError, match=EARLY):
        without_alpha_in_tiff(data[:30])
    beyond = struct.pack("<2sHI", b"II", 42, 0xFFFFFFFF)
    with pytest.raises(CorruptMediaError, match=EARLY):
        tiff_numbers(beyond, {259})


def test_the_tags_are_those_of_the_format() -> None:
    """By their numbers: Pillow's table has the names that TIFF 6.0 and its supplements give."""

    names = {
        Tag.WIDTH: "ImageWidth", Tag.HEIGHT: "ImageLength", Tag.BITS_PER_SAMPLE: "BitsPerSample",
        Tag.COMPRESSION: "Compression", Tag.PHOTOMETRIC: "PhotometricInterpretation",
        Tag.STRIP_OFFSETS: "StripOffsets", Tag.ORIENTATION: "Orientation",
        Tag.SAMPLES_PER_PIXEL: "SamplesPerPixel", Tag.STRIP_BYTES: "StripByteCounts",
        Tag.TILE_OFFSETS: "TileOffsets", Tag.TILE_BYTES: "TileByteCounts",
        Tag.EXTRA_SAMPLES: "ExtraSamples", Tag.SAMPLE_FORMAT: "SampleFormat", Tag.XMP: "XMP",
        Tag.ICC_PROFILE: "ICCProfile",
    }  # fmt: skip
    assert {tag: TiffTags.lookup(tag).name for tag in Tag} == names


def test_files_of_other_tests_are_read_alike() -> None:
    data = tiff(bytes(12), (2, 2), samples=3, photometric=2)
    assert tiff_size(data) == (2, 2)
    assert tiff_numbers(data, {Tag.BITS_PER_SAMPLE}) == {258: (8, 8, 8)}
