"""Lengths that a container declares, beside those it has: walked by hand-made files."""

import io

import pytest

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.truncation import EBML_CLUSTER, EBML_SEGMENT, check_whole

CUT = "was cut off"
DAMAGED = "is damaged"


def check(data: bytes) -> None:
    check_whole(io.BytesIO(data))


def riff(body: bytes, *, kind: bytes = b"AVI ", length: int | None = None) -> bytes:
    """Return a RIFF chunk; an odd one is followed by a byte of padding."""
    size = 4 + len(body) if length is None else length
    pad = b"\0" if (4 + len(body)) % 2 and length is None else b""
    return b"RIFF" + size.to_bytes(4, "little") + kind + body + pad


@pytest.mark.parametrize("body_bytes", [100, 101])
def test_an_avi_file_is_whole_to_its_last_byte(body_bytes: int) -> None:
    whole = riff(b"x" * body_bytes)
    check(whole)
    check(whole + b"a tail that is no chunk")
    with pytest.raises(CorruptMediaError, match=CUT):
        check(whole[:-1])


@pytest.mark.parametrize("body_bytes", [100, 101])
def test_the_second_chunk_of_an_avi_file_is_found_behind_the_padding(body_bytes: int) -> None:
    both = riff(b"x" * body_bytes) + riff(b"y" * 50, kind=b"AVIX")
    check(both)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(both[:-1])


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_an_avi_file_that_was_written_to_a_pipe_tells_no_length(length: int) -> None:
    check(riff(b"x" * 100, length=length))


def box(kind: bytes, body: bytes, *, large: bool = False) -> bytes:
    if large:
        return (1).to_bytes(4, "big") + kind + (16 + len(body)).to_bytes(8, "big") + body
    return (8 + len(body)).to_bytes(4, "big") + kind + body


START = box(b"ftyp", b"isom\0\0\2\0isommp41")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("body", [b"", b"x", b"x" * 40])
def test_boxes_are_whole_to_their_last_byte(large: bool, body: bytes) -> None:
    whole = START + box(b"mdat", body, large=large)
    check(whole)
    check(whole + box(b"free", b""))
    check(whole + b"\0" * 20)  # a foreign tail
    if body:
        with pytest.raises(CorruptMediaError, match=CUT):
            check(whole[:-1])


def test_a_box_without_content_is_no_end() -> None:
    whole = START + box(b"free", b"") + box(b"mdat", b"x" * 40)
    check(whole)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(whole[:-1])


def test_a_box_to_the_end_of_the_file_ends_there() -> None:
    check(START + (0).to_bytes(4, "big") + b"mdat" + b"x" * 40)


EBML = b"\x1a\x45\xdf\xa3\x8f\x42\x86\x81\x01\x42\x82\x88matroska"
SIMPLE_BLOCK, CUES = 0xA3, 0x1C53BB6B


def element(identity: int, body: bytes, length: int | None = None) -> bytes:
    """Return an element whose length takes 8 bytes; -1 is one that is not known."""
    size = len(body) if length is None else length
    size = (1 << 56) - 1 if size < 0 else size
    head = identity.to_bytes((identity.bit_length() + 7) // 8, "big")
    return head + (size | 1 << 56).to_bytes(8, "big") + body


BLOCK = element(SIMPLE_BLOCK, b"\x81\0\0\x80picture")


def matroska(*clusters: bytes, length: int | None = None) -> bytes:
    return EBML + element(EBML_SEGMENT, b"".join(clusters), length)


def test_matroska_is_whole_to_its_last_byte() -> None:
    whole = matroska(element(EBML_CLUSTER, BLOCK + BLOCK), element(CUES, b"index"))
    check(whole)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(whole[:-1])


@pytest.mark.parametrize("length", [None, -1])
def test_a_block_ends_within_its_cluster(length: int | None) -> None:
    """One that runs into the next cluster has a damaged length, though the file is long enough."""
    overrun = element(SIMPLE_BLOCK, b"\x81\0\0\x80picture", length=12)
    damaged = matroska(element(EBML_CLUSTER, overrun), element(EBML_CLUSTER, BLOCK), length=length)
    with pytest.raises(CorruptMediaError, match=DAMAGED):
        check(damaged)
    exact = matroska(element(EBML_CLUSTER, BLOCK), element(EBML_CLUSTER, BLOCK), length=length)
    check(exact)


@pytest.mark.parametrize(
    "identity", [0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xBF, 0xEC], ids=hex
)
def test_each_part_of_a_cluster_may_be_in_it(identity: int) -> None:
    check(matroska(element(EBML_CLUSTER, element(identity, b"x") + BLOCK)))


@pytest.mark.parametrize("damage", [b"\0", b"\x08", b"\xa3\0"])
def test_what_is_no_element_is_damage(damage: bytes) -> None:
    """Numbers begin with a bit that tells their width: an ID has 4 bytes at most, a length 8."""
    with pytest.raises(CorruptMediaError):
        check(matroska(damage + bytes(20)))


@pytest.mark.parametrize("kept", range(1, 12))
def test_an_element_that_ends_within_its_header_was_cut_off(kept: int) -> None:
    with pytest.raises(CorruptMediaError, match="was cut off"):
        check(EBML + element(EBML_SEGMENT, BLOCK)[:kept])


def test_only_blocks_and_their_like_are_in_a_cluster() -> None:
    with pytest.raises(CorruptMediaError, match=DAMAGED):
        check(matroska(element(EBML_CLUSTER, BLOCK + element(CUES, b"index"))))


def test_live_matroska_has_clusters_without_lengths() -> None:
    live = matroska(element(EBML_CLUSTER, BLOCK, -1), element(EBML_CLUSTER, BLOCK, -1), length=-1)
    check(live)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(live[:-1])


def test_each_packet_of_a_transport_stream_begins_with_its_sync_byte() -> None:
    packet = b"G\0\0\x10" + bytes(184)
    check(packet * 20)
    with pytest.raises(CorruptMediaError, match=CUT):
        check(packet * 20 + b"G")
    with pytest.raises(CorruptMediaError, match=DAMAGED):
        check(packet * 19 + b"X" + packet[1:])
