"""Parts of MPEG-PS, ASF, FLV, Ogg and MXF: walked in hand-made files, as in test_truncation.py."""

import io
import struct
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.corpus import times_of, video
from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.packets import ASF_DATA, ASF_FILE_PROPERTIES, OGG_CHECKSUM_AT
from visionops_assets.vision.truncation import check_whole

CUT = "was cut off"
DAMAGED = "is damaged"
FORMATS = [
    ("mpg", "mpeg1video"), ("vob", "mpeg2video"), ("wmv", "wmv2"), ("flv", "libx264"),
    ("ogv", "libvpx"), ("mxf", "mpeg2video"),
]  # fmt: skip


def check(data: bytes | bytearray) -> None:
    check_whole(io.BytesIO(data))


@pytest.mark.parametrize(("extension", "codec"), FORMATS)
def test_a_real_file_is_whole_to_its_last_byte(extension: str, codec: str) -> None:
    data = video(extension, codec, times_of(codec))
    check(data)
    with pytest.raises(CorruptMediaError):
        # The end of FLV is the length of its last tag, and nothing is lost with it.
        check(data[:-5])


PACK_2 = b"\0\0\1\xba\x44\0\4\0\4\1\0\0\3\xf8"
PACK_1 = b"\0\0\1\xba\x21\0\1\0\1\x80\0\1"
SYSTEM = b"\0\0\1\xbb\0\x06" + bytes(6)
PICTURES = b"\0\0\1\xe0\0\x0apicture-pi"
END = b"\0\0\1\xb9"


@pytest.mark.parametrize("pack", [PACK_1, PACK_2, PACK_2[:-1] + b"\xfb" + bytes(3)])
def test_a_program_stream_is_whole_to_its_last_byte(pack: bytes) -> None:
    whole = pack + SYSTEM + PICTURES + pack + PICTURES
    for tail in (b"", END, END + pack + PICTURES, bytes(4_000), END + bytes(70_000)):
        check(whole + tail)
    for lost in (1, 9, 11, 15):
        with pytest.raises(CorruptMediaError, match=CUT):
            check(whole[:-lost])
    for tail in (b"\0", b"\0\0\1"):
        with pytest.raises(CorruptMediaError, match=CUT):
            check(whole + tail)


@pytest.mark.parametrize(
    "tail", [b"junk", b"\0\0\1\xb3" + bytes(20), bytes(400) + PACK_2, bytes(70_000) + b"x"]
)
def test_what_is_no_packet_of_a_program_is_damage(tail: bytes) -> None:
    with pytest.raises(CorruptMediaError, match=DAMAGED):
        check(PACK_2 + PICTURES + tail)


def asf_object(name: bytes, body: bytes, *, length: int | None = None) -> bytes:
    return name + struct.pack("<Q", 24 + len(body) if length is None else length) + body


HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
INDEX = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")


def asf(
    packets: bytes, *, is_live: bool = False, length: int | None = None, packet_bytes: int = 100
) -> bytes:
    flags = struct.pack("<II", int(is_live), packet_bytes)
    properties = asf_object(ASF_FILE_PROPERTIES, bytes(64) + flags + bytes(8))
    header = asf_object(HEADER, b"\1\0\0\0\1\2" + properties)
    return header + asf_object(ASF_DATA, bytes(26) + packets, length=length)


def test_asf_is_whole_to_its_last_byte() -> None:
    whole = asf(b"x" * 300)
    check(whole)
    check(whole + asf_object(INDEX, b"index"))
    check(whole + bytes(40))  # a foreign tail
    for data in (whole[:-1], (whole + asf_object(INDEX, b"index"))[:-1], whole[:60]):
        with pytest.raises(CorruptMediaError, match=CUT):
            check(data)


@pytest.mark.parametrize("length", [0, 50])
def test_live_asf_has_whole_packets(length: int) -> None:
    live = asf(b"x" * 300, is_live=True, length=length)
    check(live)
    check(live[:-100])
    with pytest.raises(CorruptMediaError, match=CUT):
        check(live[:-1])


def flv_tag(kind: int, body: bytes) -> bytes:
    tag = bytes([kind]) + len(body).to_bytes(3, "big") + bytes(7) + body
    return tag + len(tag).to_bytes(4, "big")


FLV = b"FLV\1\5\0\0\0\x09\0\0\0\0"


def test_flv_is_whole_to_its_last_tag() -> None:
    whole = FLV + flv_tag(18, b"script") + flv_tag(9, b"pictures") + flv_tag(8, b"sound")
    check(FLV)
    check(whole)
    check(whole[:-4])  # the length of the last tag
    check(whole + flv_tag(0x29, b"filtered"))
    with pytest.raises(CorruptMediaError, match=CUT):
        check(whole[:-5])
    for kind in (0, 10, 0x89):
        with pytest.raises(CorruptMediaError, match=DAMAGED):
            check(whole + flv_tag(kind, b"unknown"))


def ogg_checksum(page: bytes | bytearray) -> int:
    """Compute the checksum bit by bit, as RFC 3533 has it."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value & 1 << 31 else 0)
    return value


def ogg_page(number: int, body: bytes, *, stream: int = 7) -> bytes:
    sizes = [255] * (len(body) // 255) + [len(body) % 255]
    kind = 2 if number == 0 else 0
    page = bytearray(struct.pack("<4sBBqIIIB", b"OggS", 0, kind, 0, stream, number, 0, len(sizes)))
    page += bytes(sizes) + body
    page[OGG_CHECKSUM_AT : OGG_CHECKSUM_AT + 4] = ogg_checksum(page).to_bytes(4, "little")
    return bytes(page)


def test_ogg_is_whole_to_its_last_page() -> None:
    whole = ogg_page(0, b"a") + ogg_page(0, b"b", stream=8) + ogg_page(1, b"c" * 600)
    check(whole)
    check(whole + ogg_page(1, b"d", stream=8) + ogg_page(2, b"e"))
    for end in (-1, -600, -620):
        with pytest.raises(CorruptMediaError, match=CUT):
            check(whole[:end])
    for tail in (ogg_page(1, b"again"), ogg_page(3, b"a page is missing"), b"junk" * 20):
        with pytest.raises(CorruptMediaError, match=DAMAGED):
            check(whole + tail)


@given(st.binary(min_size=1, max_size=700), st.data())
def test_each_byte_of_an_ogg_page_is_checked(body: bytes, data: st.DataObject) -> None:
    pages = bytearray(ogg_page(0, b"a") + ogg_page(1, body) + ogg_page(2, b"z"))
    check(pages)
    pages[data.draw(st.integers(30, len(pages) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptMediaError):
        check(pages)


PARTITION = bytes.fromhex("060e2b34020501010d01020101020400")
ESSENCE = bytes.fromhex("060e2b34010201010d01030115010500")


def klv(key: bytes, value: bytes, *, long: bool = True) -> bytes:
    length = b"\x83" + len(value).to_bytes(3, "big") if long else bytes([len(value)])
    return key + length + value


def mxf(essence: bytes, footer: int) -> bytes:
    return klv(PARTITION, bytes(24) + footer.to_bytes(8, "big") + bytes(56)) + essence


@pytest.mark.parametrize("is_long", [False, True])
def test_mxf_is_whole_to_its_last_byte(is_long: bool) -> None:
    essence = klv(ESSENCE, b"picture" * 9, long=is_long)
    whole = mxf(essence + essence, footer=0)
    check(whole)
    for lost in (1, 63, 70, len(essence) - 1):
        with pytest.raises(CorruptMediaError, match=CUT):
            check(whole[:-lost])
    for damage in (b"junk" * 5, ESSENCE + b"\x89" + bytes(20)):
        with pytest.raises(CorruptMediaError, match=DAMAGED):
            check(whole + damage)


def test_mxf_ends_behind_the_footer_that_its_header_names() -> None:
    essence = klv(ESSENCE, b"picture")
    at = len(mxf(essence, footer=0))
    whole = mxf(essence, footer=at) + klv(PARTITION, b"footer")
    check(whole)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(whole[:at])


@pytest.mark.parametrize("last", [0, 1])
def test_a_footer_lies_within_its_file(last: int) -> None:
    essence = klv(ESSENCE, b"picture")
    end = len(mxf(essence, footer=0))
    with nullcontext() if last else pytest.raises(CorruptMediaError, match=CUT):
        check(mxf(essence, footer=end - last))


@pytest.mark.parametrize("packets", [0, 1, 7])
def test_packets_of_a_live_recording_begin_behind_its_head(packets: int) -> None:
    """Of 70 bytes: a size that does not divide that of the head."""
    live = asf(b"x" * 70 * packets, is_live=True, length=0, packet_bytes=70)
    check(live)
    for lost in (1, 69):
        if packets:
            with pytest.raises(CorruptMediaError, match=CUT):
                check(live[:-lost])
