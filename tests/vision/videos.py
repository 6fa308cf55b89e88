"""Writes small real videos for the tests."""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.stream import Disposition

TICKS_PER_S = 1_000
TRANSPORT_PACKET_BYTES = 188
# These know few rates, and no others.
BROADCAST_CODECS, BROADCAST_HZ = frozenset({"mpeg1video", "mpeg2video"}), 25


def level_of(number: int) -> int:
    """Return the gray level by which a written frame can be told."""
    return 20 + 10 * number


def write_video(
    path: Path,
    times_s: Sequence[float],
    *,
    size: tuple[int, int] = (64, 48),
    codec: str = "mpeg4",
    noise: int = 0,
    metadata: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, str] = MappingProxyType({}),
    codec_options: Mapping[str, str] = MappingProxyType({}),
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Write one frame a time, blank but for a white left edge; frame i has `level_of(i)`.

    Noise up to `noise` levels makes the frames cost more than a few bytes. MPEG-1 and MPEG-2 take
    times in steps of 1 / `BROADCAST_HZ`, Ogg in tenths of a second.
    """
    rng = np.random.default_rng(0)
    rate_hz = BROADCAST_HZ if codec in BROADCAST_CODECS else 10
    ticks_per_s = rate_hz if codec in BROADCAST_CODECS or path.suffix == ".ogv" else TICKS_PER_S
    with av.open(str(path), "w", options={"fflags": "bitexact", **options}) as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=rate_hz, options=dict(codec_options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        stream.codec_context.time_base = Fraction(1, ticks_per_s)
        stream.codec_context.open()
        container.start_encoding()  # writes the header, even if no frame follows
        for number, time_s in enumerate(times_s):
            pixels = np.full((size[1], size[0], 3), level_of(number), np.uint8)
            pixels[:, : size[0] // 4] = 255
            pixels[8:, size[0] // 4 :] += rng.integers(
                0, noise + 1, (size[1] - 8, size[0] - size[0] // 4, 3), np.uint8
            )
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(time_s * ticks_per_s)
            frame.time_base = Fraction(1, ticks_per_s)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True)
class Track:
    """One of several streams of a file: `count` frames of noise, `rate_hz` of them per second."""

    codec: str
    count: int
    rate_hz: int = 10
    size: tuple[int, int] = (64, 64)
    disposition: Disposition = Disposition(0)  # noqa: RUF009 - a number


def write_tracks(path: Path, *tracks: Track) -> Path:
    """Write several video streams, their frames in the order of their times."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        streams = []
        for track in tracks:
            stream = container.add_stream(track.codec, rate=track.rate_hz)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = track.size
            stream.pix_fmt = "yuvj420p" if track.codec == "mjpeg" else "yuv420p"
            stream.disposition = track.disposition
            streams.append(stream)
        container.start_encoding()
        turns = (
            (n / track.rate_hz, i) for i, track in enumerate(tracks) for n in range(track.count)
        )
        for _, index in sorted(turns):
            width, height = tracks[index].size
            pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(streams[index].encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """Write a second of silence into a video container without a video stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000), np.float32), "fltp", "mono")
        frame.sample_rate = 8_000
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Say how to turn: patch the matrix of the track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    matrix_at = data.index(b"tkhd") + 4 + 40
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 14)
    numbers = (round(value * (1 << 16)).to_bytes(4, "big", signed=True) for value in matrix)
    data[matrix_at : matrix_at + 36] = b"".join(numbers)
    path.write_bytes(data)


def counted(transport: bytes) -> bytes:
    """Number the packets of each stream anew (ISO/IEC 13818-1, 2.4.3.3), as a recorder does."""
    packets = [
        bytearray(transport[at : at + TRANSPORT_PACKET_BYTES])
        for at in range(0, len(transport), TRANSPORT_PACKET_BYTES)
    ]
    counts: Counter[bytes] = Counter()
    for packet in packets:
        stream = bytes([packet[1] & 0x1F, packet[2]])
        packet[3] = packet[3] & 0xF0 | counts[stream] % 16
        counts[stream] += packet[3] & 0x10 > 0
    return b"".join(packets)


def timed_packets(transport: bytes) -> bytes:
    """Put a time of arrival before each packet of MPEG-TS, as cameras and Blu-ray do."""
    packets = range(0, len(transport), TRANSPORT_PACKET_BYTES)
    return b"".join(
        struct.pack(">I", 27 * at) + transport[at : at + TRANSPORT_PACKET_BYTES] for at in packets
    )


def corrected_packets(transport: bytes) -> bytes:
    """Put 16 bytes behind each packet of MPEG-TS, as of error correction."""
    packets = range(0, len(transport), TRANSPORT_PACKET_BYTES)
    return b"".join(transport[at : at + TRANSPORT_PACKET_BYTES] + b"\xa5" * 16 for at in packets)
