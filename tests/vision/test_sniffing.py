import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import EmptyMediaError, NoVideoStreamError, UnsupportedMediaError
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

TRANSPORT_PACKET = b"\x47\x40\x00\x10" + bytes(184)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "image/bmp"),
        (b"II*\0\x08\0\0\0\x0a\0", "image/tiff"),
        (b"MM\0+\0\x08\0\0" + bytes(8), "image/tiff"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "image/heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "image/avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "image/jp2"),
        (b"\xff\x4f\xff\x51\0\x2f", "image/jp2"),
        (b"P6\n# made by hand\n640 480\n255\n", "image/x-portable-anymap"),
    ],
)
def test_images(head: bytes, mime: str) -> None:
    assert sniff(head) == (MediaKind.IMAGE, mime)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", "video/mp4"),
        (b"\0\0\0\x18ftypXYZW\0\0\2\0mp42isom", "video/mp4"),
        (b"\0\0\0\x1cftypXYZW\0\0\2\0mp42XYZVXYZU", "video/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "video/quicktime"),
        (b"\0\0\0\x14ftypM4V \0\0\0\1M4V ", "video/x-m4v"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87", "video/webm"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "video/x-msvideo"),
        (TRANSPORT_PACKET * 5, "video/mp2t"),
        ((b"GGGG" + TRANSPORT_PACKET) * 5, "video/mp2t"),
        ((TRANSPORT_PACKET + b"G" * 16) * 5, "video/mp2t"),
        (b"\0\0\1\xba\x44\0\4", "video/mpeg"),
        (b"\0\0\1\xba\x21\0\1", "video/mpeg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c\0", "video/x-ms-asf"),
        (b"FLV\1\5\0\0\0\x09\0\0\0\0", "video/x-flv"),
        (b"FLV\1\1\0\0\0\x09\0\0\0\0", "video/x-flv"),
        (b"OggS\0\2" + bytes(22), "video/ogg"),
        (bytes.fromhex("060e2b34020501010d01020101020400"), "application/mxf"),
    ],
)
def test_videos(head: bytes, mime: str) -> None:
    assert sniff(head) == (MediaKind.VIDEO, mime)


@pytest.mark.parametrize(
    "head",
    [
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"#EXTM3U\n#EXT-X-VERSION:3\n",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>",
        b"%PDF-1.7\n",
        b"BMW makes cars, and this is a sentence.",
        b"textmoov is text",
        b" \0\0\0wide\0\0\0\0mdat",
        b"G" * SNIFF_BYTES,
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"RIFX\x10\0\0\0AVI LIST",
        b"ID3\x04\0\0\0\0\0\0",
        b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc",
        b"OggS",
        b"OggS\0\1" + bytes(22),
        b"OggS\1\2" + bytes(22),
        b"FLV is a format",
        b"FLV\1\x0f\0\0\0\x09",
        b"FLV\2\5\0\0\0\x09",
        b"\0\0\1\xba",
        b"\0\0\1\xba\x80\0\4",
        b"\0\0\1\xba\x31\0\4",
        b"\0\0\1\xb3\x14\0\xf0",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        bytes.fromhex("060e2b34020501010d01020101030400"),
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x42\x82",
        b"PK\x03\x04",
        bytes(64),
    ],
)
def test_everything_else_is_refused(head: bytes) -> None:
    with pytest.raises(UnsupportedMediaError):
        sniff(head)


def test_only_brands_within_the_first_box_count() -> None:
    """What follows may be anything, and a box that is longer than the file ends with it."""
    other = b"\0\0\0\x14ftypXYZW\0\0\2\0QQQQ"
    with pytest.raises(UnsupportedMediaError):
        sniff(other + b"isom" * 4)
    assert sniff(b"\0\1\0\0ftypXYZW\0\0\2\0QQQQmp42")[1] == "video/mp4"


@pytest.mark.parametrize("packets", [4, 5, 6])
def test_five_packets_in_a_row_are_a_transport_stream(packets: int) -> None:
    if packets >= 5:
        assert sniff(TRANSPORT_PACKET * packets)[1] == "video/mp2t"
    else:
        with pytest.raises(UnsupportedMediaError):
            sniff(TRANSPORT_PACKET * packets)


@pytest.mark.parametrize(("offset", "value"), [(1, 0xC0), (3, 0x0F)])
def test_a_packet_with_an_error_or_without_a_control_is_no_transport_stream(
    offset: int, value: int
) -> None:
    packet = bytearray(TRANSPORT_PACKET)
    packet[offset] = value
    with pytest.raises(UnsupportedMediaError):
        sniff(bytes(packet) * 5)


def test_sound_is_told_by_its_brand() -> None:
    with pytest.raises(NoVideoStreamError):
        sniff(b"\0\0\0\x18ftypM4A \0\0\2\0isommp42")


def test_an_empty_file_is_said_to_be_empty() -> None:
    with pytest.raises(EmptyMediaError):
        sniff(b"")


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
@example("BM" + " " * 12 + "(((")
@example("RIFFxxxx")
def test_printable_text_is_never_media(text: str) -> None:
    if text.startswith(("GIF87a", "GIF89a", "RIFF", "P4", "P5", "P6")):
        return
    with pytest.raises(UnsupportedMediaError):
        sniff(text.encode())
