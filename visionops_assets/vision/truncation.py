"""Checks that a video is whole, by the lengths that its container declares, before it is opened.

FFmpeg plays the remaining part of a file that was cut off, and skips damaged packets, most often
without a word. Parts that no length covers cannot be missed: MPEG-TS, MPEG-PS, FLV and Ogg may end
between two packets, fragmented MP4 between fragments.
"""

import io
import re

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.packets import (
    DAMAGED,
    end_of_asf,
    end_of_flv,
    end_of_mxf,
    end_of_ogg,
    end_of_program_stream,
)
from visionops_assets.vision.reading import ReadableFile, read_at
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff, transport_packets

EBML_SEGMENT, EBML_CLUSTER = 0x18538067, 0x1F43B675
# Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock, CRC, Void.
EBML_IN_CLUSTER = frozenset({0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xBF, 0xEC})
EBML_MAX_ID_BYTES, EBML_MAX_LENGTH_BYTES = 4, 8
TRANSPORT_SYNC, TRANSPORT_READ_PACKETS = b"G", 4_096
RIFF_UNKNOWN = 0xFFFFFFFF
BOX_TYPE = re.compile(rb"[ -~]{4}")
BOX_HEADER_BYTES, LARGE_BOX_HEADER_BYTES = 8, 16


def check_whole(file: ReadableFile) -> None:
    """Refuse a video of an accepted container that ends before its declared end.

    Raises:
        CorruptMediaError: it was cut off.
        UnsupportedMediaError: the container is not accepted.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    _, content_type = sniff(read_at(file, 0, SNIFF_BYTES))
    if _WALKERS.get(content_type, _end_of_boxes)(file, size_bytes) > size_bytes:
        raise CorruptMediaError("The video was cut off. Upload it again.")


def _end_of_boxes(file: ReadableFile, size_bytes: int) -> int:
    """Walk the boxes of the MP4 family (ISO/IEC 14496-12, section 4.2)."""
    position = 0
    while position + BOX_HEADER_BYTES <= size_bytes:
        header = read_at(file, position, LARGE_BOX_HEADER_BYTES)
        box_bytes = int.from_bytes(header[:4], "big")
        if box_bytes == 1:
            box_bytes = int.from_bytes(header[BOX_HEADER_BYTES:], "big")
        is_box = BOX_TYPE.fullmatch(header[4:BOX_HEADER_BYTES]) is not None
        if (
            not is_box or box_bytes < BOX_HEADER_BYTES
        ):  # a foreign tail, or a box up to the end of the file
            break
        position += box_bytes
    return position


def _end_of_riff(file: ReadableFile, size_bytes: int) -> int:
    """Walk the RIFF chunks of an AVI file; those after the first belong to its extension."""
    position = 0
    while position < size_bytes:
        header = read_at(file, position, 8)
        if not header.startswith(b"RIFF"):
            break
        chunk_bytes = int.from_bytes(header[4:], "little")
        if chunk_bytes == RIFF_UNKNOWN:  # written to a pipe
            break
        position += 8 + chunk_bytes + chunk_bytes % 2
    return position


def _end_of_ebml(file: ReadableFile, size_bytes: int) -> int:
    """Walk the elements of Matroska (RFC 9559) down to its blocks.

    Segments and clusters of live recordings have no length: they end where the next one begins.
    """
    position, end, end_of_cluster = 0, size_bytes, 0
    while position < end <= size_bytes:
        element, header_bytes, body_bytes = _ebml_header(
            read_at(file, position, EBML_MAX_ID_BYTES + EBML_MAX_LENGTH_BYTES)
        )
        is_in_cluster = position < end_of_cluster
        position += header_bytes
        end_of_element = position + (body_bytes or 0)
        if is_in_cluster and (element not in EBML_IN_CLUSTER or end_of_element > end_of_cluster):
            raise CorruptMediaError(DAMAGED)
        if element == EBML_SEGMENT and body_bytes is not None:
            end = end_of_element
        elif element == EBML_CLUSTER:
            end_of_cluster = end_of_element
        elif element != EBML_SEGMENT:
            position = end_of_element
    return max(position, end)


def _ebml_header(header: bytes) -> tuple[int, int, int | None]:
    """Return an element's ID, the length of its header, and that of its body if it is known.

    Raises:
        CorruptMediaError: it ends early, or is not an element.
    """
    id_bytes = _ebml_width(header, 0, EBML_MAX_ID_BYTES)
    length_bytes = _ebml_width(header, id_bytes, EBML_MAX_LENGTH_BYTES)
    value_bits = 7 * length_bytes
    value = int.from_bytes(header[id_bytes : id_bytes + length_bytes], "big") % (1 << value_bits)
    is_known = value != (1 << value_bits) - 1
    element = int.from_bytes(header[:id_bytes], "big")
    return element, id_bytes + length_bytes, value if is_known else None


def _ebml_width(header: bytes, at: int, max_bytes: int) -> int:
    """Return the width of the number at `at`, by the leading zeros of its first byte."""
    width = 9 - header[at].bit_length() if at < len(header) else max_bytes + 1
    if width > max_bytes or at + width > len(header):
        raise CorruptMediaError("The video is damaged, or was cut off. Upload it again.")
    return width


def _end_of_packets(file: ReadableFile, size_bytes: int) -> int:
    """Check that each packet of MPEG-TS has its sync byte (ISO/IEC 13818-1, 2.4.3.2)."""
    packets = transport_packets(read_at(file, 0, SNIFF_BYTES))
    if packets is None:
        raise CorruptMediaError(DAMAGED)
    read_bytes = TRANSPORT_READ_PACKETS * packets.bytes
    for position in range(packets.sync_at, size_bytes, read_bytes):
        syncs = read_at(file, position, read_bytes)[:: packets.bytes]
        if syncs.strip(TRANSPORT_SYNC):
            raise CorruptMediaError(DAMAGED)
    return -(-size_bytes // packets.bytes) * packets.bytes


_WALKERS = {
    "video/x-matroska": _end_of_ebml,
    "video/webm": _end_of_ebml,
    "video/x-msvideo": _end_of_riff,
    "video/mp2t": _end_of_packets,
    "video/mpeg": end_of_program_stream,
    "video/x-ms-asf": end_of_asf,
    "video/x-flv": end_of_flv,
    "video/ogg": end_of_ogg,
    "application/mxf": end_of_mxf,
}
