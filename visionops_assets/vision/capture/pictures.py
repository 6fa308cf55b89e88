"""Decodes only those pictures of a camera's stream that stills and motion need."""

import cv2
import numpy as np
from av import VideoCodecContext, VideoFrame

from visionops_assets.vision.capture.clips import VideoPacket
from visionops_assets.vision.capture.motion import WIDTH_PX, Gray
from visionops_assets.vision.framing import Frame

JPEG_QUALITY = 90


class Pictures:
    """The pictures of one stream, decoded in a row or each by itself.

    Both ways raise `av.FFmpegError` for a packet that does not decode, and ValueError for a
    picture that is damaged.
    """

    def __init__(self, codec: VideoCodecContext) -> None:
        self._codec = codec

    def next(self, packet: VideoPacket) -> list[VideoFrame]:
        """Return the pictures that the next packet completes."""
        return _sound(self._codec.decode(packet))

    def alone(self, packet: VideoPacket) -> list[VideoFrame]:
        """Return the picture of this key frame, independent of earlier packets."""
        frames = [*self._codec.decode(packet), *self._codec.decode(None)]
        self.forget()
        return _sound(frames)

    def forget(self) -> None:
        """Forget the earlier packets."""
        self._codec.flush_buffers()


def as_jpeg(bgr: Frame) -> bytes:
    """Encode a picture: uint8 (height, width, 3) BGR."""
    _, encoded = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return encoded.tobytes()


def as_small_gray(frame: VideoFrame) -> Gray:
    """Scale a picture down for the search for motion: uint8 of shape (H, `WIDTH_PX`)."""
    height_px = max(1, round(frame.height * WIDTH_PX / frame.width))
    small = frame.reformat(WIDTH_PX, height_px, "gray8", interpolation="AREA")
    return np.asarray(small.to_ndarray(), np.uint8)


def _sound(frames: list[VideoFrame]) -> list[VideoFrame]:
    if any(frame.is_corrupt for frame in frames):
        raise ValueError("a damaged picture")
    return frames
