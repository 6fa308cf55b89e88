"""Finds the type of a file by its first bytes alone; names and declared types do not count.

Only binary containers of a fixed list pass. Anything textual (playlists, ffconcat scripts, SVG)
is refused here, because FFmpeg would follow the paths in it to other files.
"""

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
TRANSPORT_PACKET_BYTES = 188


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
    video = _base_media(head) or _matroska(head) or _avi(head) or _transport_stream(head)
    if video is not None:
        return MediaKind.VIDEO, video
    raise UnsupportedMediaError(
        f"The content is not an accepted type. Upload an image ({IMAGE_NAMES}) or a video: MP4, "
        "MOV, M4V, 3GP, MKV, WebM, AVI or MPEG-TS."
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
    _, marker, rest = head.partition(b"\x42\x82")
    if not marker or not rest:
        return None
    doctype = rest[1 : 1 + (rest[0] & 0x7F)]
    return MATROSKA_DOCTYPES.get(doctype.rstrip(b"\0"))


def _avi(head: bytes) -> str | None:
    return "video/x-msvideo" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def _transport_stream(head: bytes) -> str | None:
    """Recognise MPEG-TS by the sync byte of each packet; five in a row are not chance."""
    starts = head[: 5 * TRANSPORT_PACKET_BYTES : TRANSPORT_PACKET_BYTES]
    # The adaptation field control of a packet is never 0, unlike in a text of "G"s.
    return "video/mp2t" if starts == b"GGGGG" and head[1] & 0x80 == 0 and head[3] & 0x30 else None
