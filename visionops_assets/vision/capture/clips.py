"""Cuts clips out of a stream's packets and puts them into MP4 files without encoding them again."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import av
from av import Packet
from av.video.stream import VideoStream

from visionops_assets.vision.capture.messages import MAX_CUT_BYTES, MAX_PREROLL_S
from visionops_assets.vision.capture.schedule import MAX_DRIFT_S

CLIP_CODECS = frozenset({"h264", "hevc", "mpeg4", "mjpeg", "av1", "vp9"})
"""The codecs that both an MP4 file and the decoder of uploads can hold."""
# Room for the index of the file, some 16 bytes per frame.
CONTAINER_BYTES = 1024**2

# In quotes: only type checkers give the class its type argument.
VideoPacket: TypeAlias = "Packet[VideoStream]"


@dataclass
class Clip:
    """Packets in decoding order, from a key frame on, which came at `began_s` of the clock."""

    began_s: float
    packets: list[VideoPacket] = field(default_factory=list)
    bytes: int = 0

    def add(self, packet: VideoPacket) -> None:
        """Append a packet."""
        self.packets.append(packet)
        self.bytes += packet.size

    def has_room_for(self, packet: VideoPacket) -> bool:
        """Say whether the file would stay below its bound."""
        return self.bytes + packet.size <= MAX_CUT_BYTES - CONTAINER_BYTES


class ClipCutter:
    """Begins clips on demand, always with a key frame, and ends each after `clip_s`.

    Packets must have times, in units of `time_base_s` seconds.
    """

    def __init__(self, clip_s: float, time_base_s: float) -> None:
        self._clip_s = clip_s
        self._time_base_s = time_base_s
        self._group = Clip(0.0)
        self._clip: Clip | None = None
        self._end_s = 0.0

    @property
    def is_cutting(self) -> bool:
        """Say whether a clip is under way."""
        return self._clip is not None

    def feed(self, packet: VideoPacket, now_s: float) -> Clip | None:
        """Take the next packet; return the clip that ended before it, if one did."""
        ended = None if self._continues(packet) else self.interrupt()
        if self._clip is not None:
            self._clip.add(packet)
            return None
        if packet.is_keyframe or now_s - self._group.began_s > MAX_PREROLL_S:
            self._group = Clip(now_s)
        if packet.is_keyframe or self._group.packets:
            self._group.add(packet)
        return ended

    def begin(self) -> bool:
        """Begin a clip of `clip_s` from now, at the last key frame, if that is kept."""
        if not self._group.packets:
            return False
        self._clip, self._group = self._group, Clip(0.0)
        # Times are ratios of integers: a frame due at 2 s may come at 1.9999999.
        half_tick_s = self._time_base_s / 2
        self._end_s = self._time_s(self._clip.packets[-1]) + self._clip_s - half_tick_s
        return True

    def interrupt(self) -> Clip | None:
        """End the clip under way, if there is one, and forget earlier packets."""
        ended, self._clip, self._group = self._clip, None, Clip(0.0)
        return ended

    def _continues(self, packet: VideoPacket) -> bool:
        """Say whether the packet belongs to the clip under way, or to the frames before a clip."""
        current = self._clip or self._group
        if not current.packets:
            return True
        step_s = self._time_s(packet) - self._time_s(current.packets[-1])
        if not 0 < step_s <= MAX_DRIFT_S or not current.has_room_for(packet):
            return False
        return self._clip is None or self._time_s(packet) < self._end_s

    def _time_s(self, packet: VideoPacket) -> float:
        return times_of(packet)[1] * self._time_base_s


def times_of(packet: VideoPacket) -> tuple[int, int]:
    """Return when a packet is shown and when it is decoded, in its time base.

    Raises:
        ValueError: it has no times.
    """
    if packet.pts is None or packet.dts is None:
        raise ValueError("a packet without times")
    return packet.pts, packet.dts


def to_mp4(packets: Sequence[VideoPacket], template: VideoStream) -> bytes:
    """Put packets of `template`, in decoding order from a key frame on, into an MP4 file.

    Times are moved so that it begins at 0; the index comes first, so that it can be played while
    it is loaded. The packets cannot be used again.
    """
    file = io.BytesIO()
    first_pts, first_dts = times_of(packets[0])
    with av.open(
        file,
        "w",
        format="mp4",
        options={"movflags": "faststart"},
        # To put the index first, the muxer reads its file again.
        io_open=lambda *_: io.BytesIO(file.getvalue()),
    ) as container:
        stream = container.add_stream_from_template(template)
        # The file's own ratio of a pixel's sides counts for more than that in its pictures.
        stream.codec_context.sample_aspect_ratio = template.sample_aspect_ratio or Fraction(0)
        for packet in packets:
            pts, dts = times_of(packet)
            if pts < first_pts:
                continue  # made from frames before the key frame
            packet.pts, packet.dts = pts - first_dts, dts - first_dts
            packet.stream = stream
            container.mux_one(packet)
    return file.getvalue()
