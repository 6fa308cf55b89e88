"""Reads the video of a camera: opens its address, and yields packets with ever rising times.

FFmpeg would follow a hostile playlist to local files, so each transport may use only its own
protocols and containers. The hosts that a playlist names are not checked: a camera is trusted that
much.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from visionops_assets.errors import NoFramesError, NoVideoStreamError, UnsupportedCodecError
from visionops_assets.vision.capture.address import Transport, transport_of
from visionops_assets.vision.capture.clips import VideoPacket, times_of
from visionops_assets.vision.capture.schedule import Pacer
from visionops_assets.vision.display import Display
from visionops_assets.vision.headers import check_pixels
from visionops_assets.vision.videos import (
    AV1_DECODER,
    FORMAT_WHITELIST,
    VIDEO_CODECS,
    best_moving,
)

OPEN_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 15.0
# Read before the first packet is yielded, to learn the codec.
PROBE_S = 3.0

OPTIONS = {
    Transport.RTSP: {
        "protocol_whitelist": "rtsp,rtsps,tcp,tls",
        "format_whitelist": "rtsp,mpegts",
        # UDP loses packets, and would open ports.
        "rtsp_transport": "tcp",
    },
    Transport.HTTP: {
        "protocol_whitelist": "http,https,tcp,tls,crypto",
        "format_whitelist": f"hls,mpjpeg,{FORMAT_WHITELIST}",
    },
    Transport.FILE: {"protocol_whitelist": "file", "format_whitelist": FORMAT_WHITELIST},
}
# FFmpeg makes up their times: the pictures have none.
UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg"})
# H.264 shows a frame at most 16 frames after it is decoded.
MAX_UNTIMED_PACKETS = 17


class CameraStream:
    """A context manager around one open stream.

    Raises:
        MediaError: no video, or too many pixels.
        av.FFmpegError: it cannot be opened. Its text may hold the address, its `strerror` does not.
    """

    def __init__(self, address: str, max_pixels: int) -> None:
        self._transport = transport_of(address)
        options = {
            **OPTIONS[self._transport],
            "codec_whitelist": ",".join([*sorted(VIDEO_CODECS), AV1_DECODER]),
            "max_pixels": str(max_pixels),
            "analyzeduration": str(round(PROBE_S * 1_000_000)),
        }
        self._container = av.open(
            address, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        )
        try:
            self.video = _video_of(self._container)
            check_pixels(self.codec.width, self.codec.height, max_pixels)
            self.display = Display(self.video, max_pixels)
        except Exception:
            self._container.close()
            raise
        # One thread: no frame waits for later ones, and cameras share the machine.
        self.codec.thread_count = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.close()

    @property
    def codec(self) -> av.VideoCodecContext:
        """Return the decoder of the stream."""
        return self.video.codec_context

    @property
    def time_base_s(self) -> float:
        """Return the seconds per unit of the packets' times."""
        return float(self.video.time_base or 1)

    def packets(self) -> Iterator[VideoPacket]:
        """Yield the packets until the stream ends, no faster than they were filmed.

        A file begins again at its end, and its times go on. All packets have times.

        Raises:
            NoFramesError: the file holds no packet.
            av.FFmpegError: the stream was interrupted.
        """
        pacer = Pacer()
        is_live = self._transport is Transport.RTSP
        for packet in self._timed_packets():
            if not is_live:
                pacer.wait_for(times_of(packet)[1] * self.time_base_s)
            yield packet

    def _timed_packets(self) -> Iterator[VideoPacket]:
        untimed = self._container.format.name in UNTIMED_FORMATS
        for packet in self._looped() if self._transport is Transport.FILE else self._once():
            if untimed:
                packet.pts = packet.dts = round(time.monotonic() / self.time_base_s)
            yield packet

    def _once(self) -> Iterator[VideoPacket]:
        # The end of a file is an empty packet.
        return timed(packet for packet in self._container.demux(self.video) if packet.size)

    def _looped(self) -> Iterator[VideoPacket]:
        shift = 0
        while True:
            start = end = None
            for packet in self._once():
                pts, dts = times_of(packet)
                start = dts if start is None else start
                end = dts + (packet.duration or 1)
                packet.pts, packet.dts = pts + shift, dts + shift
                yield packet
            if start is None or end is None:
                raise NoFramesError("The file has no frames.")
            shift += end - start
            self._container.seek(0)


def timed(packets: Iterable[VideoPacket]) -> Iterator[VideoPacket]:
    """Give decoding times to the first packets, for which FFmpeg does not know them yet.

    They are counted back from the first packet with a time. Later packets without times, which no
    file or camera should send, are treated alike.
    """
    waiting: deque[VideoPacket] = deque(maxlen=MAX_UNTIMED_PACKETS)
    for packet in packets:
        waiting.append(packet)
        if packet.dts is None:
            continue
        for steps, early in enumerate(reversed(waiting)):
            early.dts = packet.dts - steps * (packet.duration or 1)
            early.pts = early.dts if early.pts is None else early.pts
        yield from waiting
        waiting.clear()


def _video_of(container: InputContainer) -> VideoStream:
    """Take the best stream of moving pictures, and let the demuxer leave out the others."""
    chosen = best_moving(container)
    if chosen is None:
        raise NoVideoStreamError("The stream has no video.")
    # A stream without a decoder has no codec context, whatever its type annotation says.
    codec: object = chosen.codec_context
    if codec is None:
        raise UnsupportedCodecError("The stream has a video codec that is not accepted.")
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen
