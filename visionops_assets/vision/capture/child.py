"""The child that reads one camera: `python -m` this. Sends clips and stills to its parent.

The camera service starts it. It reads one hostile stream within limits, and ends with the stream.
"""

import time
from typing import BinaryIO

import av
import cv2

from visionops_assets.errors import MediaError
from visionops_assets.vision.capture.clips import VideoPacket
from visionops_assets.vision.capture.cutting import Cut, Cutter, make_cutter
from visionops_assets.vision.capture.messages import (
    CaptureRequest,
    CutReply,
    EndedReply,
    HeartbeatReply,
    OpenedReply,
)
from visionops_assets.vision.capture.stream import CameraStream
from visionops_assets.vision.sandbox.limits import (
    allow_cpu_time,
    limit_resources,
    read_exactly,
    send,
    take_standard_output,
)
from visionops_assets.vision.sandbox.messages import encode_message, read_message

HEARTBEAT_S = 1.0
# A decoder hangs if it uses this much CPU time without a heartbeat.
MAX_SILENT_CPU_S = 60.0


class Feed:
    """Feeds one stream to its cutter, leaves out damaged packets, and counts."""

    def __init__(self, cutter: Cutter, replies: BinaryIO) -> None:
        self._cutter = cutter
        self._replies = replies
        self._beat_at_s = time.monotonic()
        self._frames = 0
        self._dropped = 0
        self._awaits_key_frame = True

    def take(self, packet: VideoPacket) -> None:
        """Handle the next packet."""
        now_s = time.monotonic()
        self._frames += 1
        if packet.is_corrupt or (self._awaits_key_frame and not packet.is_keyframe):
            self._drop()
        else:
            self._awaits_key_frame = False
            self._cut(packet, now_s)
        if now_s - self._beat_at_s >= HEARTBEAT_S:
            self.beat(now_s)

    def beat(self, now_s: float) -> None:
        """Report the counts since the last report."""
        reply = HeartbeatReply(
            interval_s=now_s - self._beat_at_s, frames=self._frames, dropped_frames=self._dropped
        )
        send(self._replies, encode_message(reply))
        self._beat_at_s, self._frames, self._dropped = now_s, 0, 0
        allow_cpu_time(MAX_SILENT_CPU_S)

    def _cut(self, packet: VideoPacket, now_s: float) -> None:
        try:
            cut = self._cutter.feed(packet, now_s)
        except (av.FFmpegError, ValueError):  # this packet is damaged
            self._drop()
        else:
            self._send(cut)

    def _drop(self) -> None:
        """Leave out the packet; those up to the next key frame may be made from it."""
        self._dropped += 1
        if not self._awaits_key_frame:
            self._awaits_key_frame = True
            self._send(self._cutter.interrupt())

    def _send(self, cut: Cut | None) -> None:
        if cut is None:
            return
        reply = CutReply(kind=cut.kind, age_s=max(0.0, time.monotonic() - cut.began_s))
        send(self._replies, encode_message(reply, cut.content))


def main() -> None:
    """Read the request from standard input, then the stream until it ends."""
    replies = take_standard_output()
    header, _ = read_message(read_exactly, max_body_bytes=0)
    request = CaptureRequest.model_validate_json(header)
    cv2.setNumThreads(1)
    limit_resources(request.memory_bytes)
    allow_cpu_time(MAX_SILENT_CPU_S)
    try:
        _capture(request, replies)
        reason = "the stream ended"
    except MediaError as error:
        reason = str(error)
    except av.FFmpegError as error:
        reason = error.strerror or "it cannot be read"  # its text holds the address
    send(replies, encode_message(EndedReply(reason=reason[:300])))


def _capture(request: CaptureRequest, replies: BinaryIO) -> None:
    with CameraStream(request.address, request.max_pixels) as stream:
        codec = stream.codec
        opened = OpenedReply(codec=codec.name, width_px=codec.width, height_px=codec.height)
        send(replies, encode_message(opened))
        feed = Feed(make_cutter(stream, request.rules), replies)
        for packet in stream.packets():
            feed.take(packet)


if __name__ == "__main__":
    main()
