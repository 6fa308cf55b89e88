"""Finds the type of a file by its first bytes alone; names and declared types do not count.

Only binary containers of a fixed list pass. Anything textual (playlists, ffconcat scripts, SVG)
is refused here, because FFmpeg would follow the paths in it to other files.
"""

from dataclasses import dataclass

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import EmptyMediaError, NoVideoStreamError, UnsupportedMediaError
from visionops_assets.vision.headers import NAMES as IMAGE_NAMES
from visionops_assets.vision.headers import image_format

SNIFF_BYTES = 4096

# Brands of ISO base media files (ISO/IEC 14496-12) that hold video; audio and images have others.
VIDEO_BRANDS = {
    **dict.fromkeys((b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6"), "video/mp4"),
    **dict.fromkeys((b"mp41", b"mp42", b"avc1", b"dash", b"MSNV", b"f4v "), "video/mp4"),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), "video/x-m4v"),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3g2a"), "video/3gpp"),
    b"qt  ": "video/quicktime",
}
AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
IMAGE_BRANDS = frozenset({b"hevc", b"hevx", b"msf1"})  # sequences
MATROSKA_DOCTYPES = {b"matroska": "video/x-matroska", b"webm": "video/webm"}
PROGRAM_PACK_MARK_AT = 4
PROGRAM_PACK_MARKS = ((0xC0, 0x40), (0xF0, 0x20))
"""Mask and mark of MPEG-2 (ISO/IEC 13818-1, 2.5.3.3) and MPEG-1 (11172-1, 2.4.3.2)."""
SIGNATURES = {
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): "video/x-ms-asf",
    # Version 1, sound or pictures or both, a header of 9 bytes.
    **{b"FLV\x01" + bytes([kinds]) + b"\0\0\0\x09": "video/x-flv" for kinds in (1, 4, 5)},
    b"OggS\0\x02": "video/ogg",  # version 0, the beginning of a stream
    # A header partition (SMPTE ST 377-1, 7.1).
    bytes.fromhex("060e2b34020501010d0102010102"): "application/mxf",
}


def sniff(head: bytes) -> tuple[MediaKind, str]:
    """Return kind and MIME type by the first `SNIFF_BYTES` of a file (fewer if it is shorter).

    Raises:
        EmptyMediaError: there are no bytes.
        NoVideoStreamError: an MP4 file that says it holds sound.
        UnsupportedMediaError: the container is not accepted.
    """
    if not head:
        raise EmptyMediaError("The file is empty. Upload an image or a video.")
    image = image_format(head)
    if image is not None:
        return MediaKind.IMAGE, image.value
    video = next(filter(None, (recognise(head) for recognise in _RECOGNISERS)), None)
    if video is not None:
        return MediaKind.VIDEO, video
    raise UnsupportedMediaError(
        f"The content is not an accepted type. Upload an image ({IMAGE_NAMES}) or a video: MP4, "
        "MOV, M4V, 3GP, MKV, WebM, AVI, MPEG-TS, MPEG-PS, ASF (WMV), FLV, Ogg or MXF."
    )


def _base_media(head: bytes) -> str | None:
    """Recognise MP4 and its family by their brands: major one, version, compatible ones."""
    box_bytes, box_type = int.from_bytes(head[:4], "big"), head[4:8]
    if box_type == b"ftyp":
        major, brands_end = head[8:12], min(box_bytes, len(head))
        if major in AUDIO_BRANDS:
            raise NoVideoStreamError("The file holds sound. Upload a video with pictures.")
        if major in IMAGE_BRANDS:
            return None
        brands = [major, *(head[i : i + 4] for i in range(16, brands_end, 4))]
        return next((VIDEO_BRANDS[brand] for brand in brands if brand in VIDEO_BRANDS), None)
    # QuickTime before brands. A printable first byte is text, not the size of a box.
    if box_type in (b"moov", b"mdat", b"wide") and head[0] < ord(" "):
        return "video/quicktime"
    return None


def _matroska(head: bytes) -> str | None:
    """Find the DocType element (ID 0x4282, then its length) of the EBML header (RFC 8794)."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    _, _, rest = head.partition(b"\x42\x82")
    if not rest:
        return None
    doctype = rest[1 : 1 + (rest[0] & 0x7F)]
    return MATROSKA_DOCTYPES.get(doctype.rstrip(b"\0"))


def _avi(head: bytes) -> str | None:
    return "video/x-msvideo" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


@dataclass(frozen=True)
class TransportPackets:
    """How MPEG-TS is laid out: bytes per packet, and where in it the sync byte is."""

    bytes: int
    sync_at: int


TRANSPORT_LAYOUTS = (
    TransportPackets(188, 0),  # ISO/IEC 13818-1, 2.4.3.2
    TransportPackets(192, 4),  # cameras and Blu-ray: an arrival time in front
    TransportPackets(204, 0),  # broadcasts: 16 bytes of error correction behind (EN 300 744)
)
TRANSPORT_PACKETS_IN_A_ROW = 5
"""So many sync bytes are not chance."""


def transport_packets(head: bytes) -> TransportPackets | None:
    """Recognise MPEG-TS by the sync byte of each packet."""
    for layout in TRANSPORT_LAYOUTS:
        end = TRANSPORT_PACKETS_IN_A_ROW * layout.bytes
        syncs = head[layout.sync_at : end : layout.bytes]
        header = head[layout.sync_at :]
        # The adaptation field control of a packet is never 0, unlike in a text of "G"s.
        if syncs == b"GGGGG" and header[1] & 0x80 == 0 and header[3] & 0x30:
            return layout
    return None


def _transport_stream(head: bytes) -> str | None:
    return "video/mp2t" if transport_packets(head) else None


def _program_stream(head: bytes) -> str | None:
    """Recognise the first pack of MPEG-PS, of MPEG-2 or MPEG-1."""
    if not head.startswith(b"\0\0\1\xba") or len(head) <= PROGRAM_PACK_MARK_AT:
        return None
    is_pack = any(head[PROGRAM_PACK_MARK_AT] & mask == mark for mask, mark in PROGRAM_PACK_MARKS)
    return "video/mpeg" if is_pack else None


def _by_signature(head: bytes) -> str | None:
    return next((mime for mark, mime in SIGNATURES.items() if head.startswith(mark)), None)


_RECOGNISERS = (
    _base_media,
    _matroska,
    _avi,
    _by_signature,
    _program_stream,
    _transport_stream,
)
