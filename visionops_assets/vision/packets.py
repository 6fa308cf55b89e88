"""Walks the parts of MPEG-PS, ASF, FLV, Ogg and MXF, and finds where a file ought to end.

Each walk takes a file and its size in bytes. It returns the end of the last part that begins in
the file, which lies behind the file's if that was cut off; CorruptMediaError says that a part is
damaged. MPEG-PS, FLV and Ogg may end between two parts: no length covers them.
"""

import struct
import zlib

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.reading import ReadableFile, read_at

DAMAGED = "A part of the video is damaged. Upload it again."

START_CODE = b"\0\0\1"
PACK, LEAST_STREAM_ID = 0xBA, 0xB9
PACK_HEADER_BYTES = 14
ZEROS_READ_BYTES = 1 << 16

ASF_OBJECT = struct.Struct("<16sQ")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_DATA_HEADER_BYTES, ASF_PROPERTIES_BYTES = 50, 104
ASF_IS_LIVE = 1

FLV_TAG_HEADER_BYTES, FLV_LENGTH_BYTES = 11, 4
FLV_SOUND, FLV_PICTURES, FLV_SCRIPT = 8, 9, 18

OGG_PAGE = struct.Struct("<4sBBqIIIB")
OGG_CHECKSUM_AT = 22
REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))

MXF_KEY = b"\x06\x0e\x2b\x34"
MXF_KEY_BYTES, MXF_MAX_LENGTH_BYTES = 16, 8
BER_LONG = 0x80
MXF_FOOTER_AT = 24


def end_of_program_stream(file: ReadableFile, size_bytes: int) -> int:
    """Walk the packs and packets of MPEG-PS (ISO/IEC 13818-1, 2.5.3; MPEG-1: 11172-1, 2.4.3).

    Recorders fill up the end with zeros.
    """
    position = 0
    while position < size_bytes:
        header = read_at(file, position, PACK_HEADER_BYTES)
        if len(header) <= len(START_CODE):
            return position + PACK_HEADER_BYTES
        if not header.startswith(START_CODE):
            _check_zeros(file, position, size_bytes)
            return size_bytes
        position += _program_packet_bytes(header)
    return position


def _program_packet_bytes(header: bytes) -> int:
    kind = header[len(START_CODE)]
    if kind < LEAST_STREAM_ID:
        raise CorruptMediaError(DAMAGED)
    if kind == LEAST_STREAM_ID:  # the end of the program
        return 4
    if kind != PACK:
        return 6 + int.from_bytes(header[4:6], "big")
    is_mpeg_1 = header[4:5] < b"\x40"
    return 12 if is_mpeg_1 else PACK_HEADER_BYTES + (header[-1] & 7)


def _check_zeros(file: ReadableFile, position: int, size_bytes: int) -> None:
    for start in range(position, size_bytes, ZEROS_READ_BYTES):
        if read_at(file, start, min(ZEROS_READ_BYTES, size_bytes - start)).strip(b"\0"):
            raise CorruptMediaError(DAMAGED)


def end_of_asf(file: ReadableFile, size_bytes: int) -> int:
    """Walk the objects of ASF (Microsoft, revision 01.20.03), and the packets of a live recording.

    The length of a live recording's data is not known, but that of each packet.
    """
    position, live_packet_bytes = 0, 0
    while position + ASF_OBJECT.size <= size_bytes:
        name, object_bytes = ASF_OBJECT.unpack(read_at(file, position, ASF_OBJECT.size))
        if name == ASF_DATA and live_packet_bytes:
            first = position + ASF_DATA_HEADER_BYTES
            return first + -(-max(0, size_bytes - first) // live_packet_bytes) * live_packet_bytes
        if object_bytes < ASF_OBJECT.size:  # a foreign tail
            return position
        if not position:
            live_packet_bytes = _asf_live_packet_bytes(read_at(file, 0, min(object_bytes, 1 << 20)))
        position += object_bytes
    return position


def _asf_live_packet_bytes(header: bytes) -> int:
    """Return the bytes per packet of a live recording, else 0."""
    at = header.find(ASF_FILE_PROPERTIES)
    if at < 0 or at + ASF_PROPERTIES_BYTES > len(header):
        return 0
    flags, packet_bytes = struct.unpack_from("<II", header, at + 88)
    return int(packet_bytes) if flags & ASF_IS_LIVE else 0


def end_of_flv(file: ReadableFile, size_bytes: int) -> int:
    """Walk the tags of FLV (Adobe, version 10.1, annex E.4)."""
    position = int.from_bytes(read_at(file, 5, 4), "big") + FLV_LENGTH_BYTES
    end = position
    while position < size_bytes:
        header = read_at(file, position, FLV_TAG_HEADER_BYTES)
        if header[0] & 0xDF not in (FLV_SOUND, FLV_PICTURES, FLV_SCRIPT):
            raise CorruptMediaError(DAMAGED)
        end = position + FLV_TAG_HEADER_BYTES + int.from_bytes(header[1:4], "big")
        position = end + FLV_LENGTH_BYTES
    return end


def end_of_ogg(file: ReadableFile, size_bytes: int) -> int:
    """Walk the pages of Ogg (RFC 3533): each with its checksum, and numbered within its stream.

    FFmpeg leaves out pages that are damaged, without a word.
    """
    position, next_numbers = 0, dict[int, int]()
    while position < size_bytes:
        header = read_at(file, position, OGG_PAGE.size)
        if len(header) < OGG_PAGE.size:
            return position + OGG_PAGE.size
        mark, _, _, _, stream, number, checksum, segments = OGG_PAGE.unpack(header)
        if mark != b"OggS" or number != next_numbers.get(stream, number):
            raise CorruptMediaError(DAMAGED)
        page_bytes = (
            OGG_PAGE.size + segments + sum(read_at(file, position + OGG_PAGE.size, segments))
        )
        page = read_at(file, position, page_bytes)
        if len(page) == page_bytes and _ogg_checksum(page) != checksum:
            raise CorruptMediaError(DAMAGED)
        next_numbers[stream] = (number + 1) % (1 << 32)
        position += page_bytes
    return position


def _ogg_checksum(page: bytes) -> int:
    """Compute a page's CRC: polynomial 0x04C11DB7, from 0, without the field that holds it.

    It is zlib's but for the order of bits, and for the inversions before and after.
    """
    blank = page[:OGG_CHECKSUM_AT] + bytes(4) + page[OGG_CHECKSUM_AT + 4 :]
    reversed_crc = zlib.crc32(blank.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reversed_crc:032b}"[::-1], 2)


def end_of_mxf(file: ReadableFile, size_bytes: int) -> int:
    """Walk the KLV packets of MXF (SMPTE ST 377-1), whose header may tell where the footer is."""
    position, footer = 0, 0
    while position < size_bytes:
        header = read_at(file, position, MXF_KEY_BYTES + 1 + MXF_MAX_LENGTH_BYTES)
        length_bytes, value_bytes = _mxf_length(header)
        value_at = position + MXF_KEY_BYTES + length_bytes
        if not position:
            footer = int.from_bytes(read_at(file, value_at + MXF_FOOTER_AT, 8), "big")
        position = value_at + value_bytes
    return max(position, footer + 1)


def _mxf_length(header: bytes) -> tuple[int, int]:
    """Return how many bytes the length of a value takes, and that length (BER)."""
    if len(header) <= MXF_KEY_BYTES:  # cut off within the key
        return 1, 0
    if not header.startswith(MXF_KEY):
        raise CorruptMediaError(DAMAGED)
    first = header[MXF_KEY_BYTES]
    if first < BER_LONG:
        return 1, first
    if first > BER_LONG + MXF_MAX_LENGTH_BYTES:
        raise CorruptMediaError(DAMAGED)
    digits = header[MXF_KEY_BYTES + 1 : MXF_KEY_BYTES + 1 + first - BER_LONG]
    return 1 + first - BER_LONG, int.from_bytes(digits, "big")
