"""The first picture of a GIF: its place, its transparency, and files that end or lie."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.gif import gif_size, plain_gif

SIDES = st.integers(1, 30_000)


def gif(
    canvas: tuple[int, int],
    place: tuple[int, int, int, int],
    *extensions: bytes,
    table_bits: int | None = None,
) -> bytes:
    """Return a GIF without pixels; `place` is left, top, width, height of its first picture."""
    flags = 0x77 if table_bits is None else 0x80 | table_bits  # bits of a table that is not there
    table = b"" if table_bits is None else bytes([0x21]) * (3 * (2 << table_bits))
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, flags & (0xFF if table else 0x7F), 0, 0)
    return head + table + b"".join(extensions) + b"\x2c" + struct.pack("<4HB", *place, 0)


def control(flags: int) -> bytes:
    return b"\x21\xf9\x04" + bytes([flags]) + b"\0\0\x05\0"


COMMENT = b"\x21\xfe\x03abc\x02de\0"


@given(
    st.tuples(SIDES, SIDES),
    st.tuples(*[st.integers(0, 30_000)] * 2, SIDES, SIDES),
    st.none() | st.integers(0, 7),
    st.lists(st.sampled_from([COMMENT, control(0), control(1)]), max_size=3),
)
def test_the_canvas_holds_the_first_picture(
    canvas: tuple[int, int],
    place: tuple[int, int, int, int],
    table_bits: int | None,
    extensions: list[bytes],
) -> None:
    data = gif(canvas, place, *extensions, table_bits=table_bits)
    left, top, width, height = place
    expected = max(canvas[0], left + width), max(canvas[1], top + height)
    assert gif_size(data) == expected
    assert struct.unpack_from("<HH", plain_gif(data), 6) == expected


@pytest.mark.parametrize("flags", [0x01, 0x05, 0x1D, 0x00, 0x1C])
def test_only_the_transparency_of_the_first_picture_goes(flags: int) -> None:
    data = gif((9, 5), (0, 0, 9, 5), COMMENT, control(flags), COMMENT)
    second = b"\x02\0\0" + control(1) + b"\x2c"
    plain = plain_gif(data + second)
    assert plain == gif((9, 5), (0, 0, 9, 5), COMMENT, control(flags & ~1), COMMENT) + second


@pytest.mark.parametrize("lost", range(1, 12))
def test_a_gif_that_ends_early_has_its_canvas_alone(lost: int) -> None:
    data = gif((9, 5), (3, 3, 9, 9), control(1))[:-lost]
    if lost == 1:  # the flags of the picture, which are not read
        assert gif_size(data) == (12, 12)
        return
    assert gif_size(data) == (9, 5)
    if lost >= 10:
        with pytest.raises(CorruptMediaError, match="no picture that can be shown"):
            plain_gif(data)


@pytest.mark.parametrize("mark", [b";", b"\0", b"\x2b"])
def test_something_else_in_place_of_a_picture_is_damage(mark: bytes) -> None:
    data = gif((9, 5), (0, 0, 20, 20), COMMENT).replace(b"\x2c", mark)
    assert gif_size(data) == (9, 5)
    with pytest.raises(CorruptMediaError, match="no picture that can be shown"):
        plain_gif(data)


@pytest.mark.parametrize(("blocks", "size"), [(65_536, (20, 20)), (65_537, (9, 5))])
def test_the_walk_through_its_blocks_ends(blocks: int, size: tuple[int, int]) -> None:
    comment = b"\x21\xfe" + b"\x01x" * blocks + b"\0"
    assert gif_size(gif((9, 5), (0, 0, 20, 20), comment)) == size
