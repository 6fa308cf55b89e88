"""Films what a camera might see, for the tests: H.264 in whatever container is wanted."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from visionops_assets.vision.capture.clips import VideoPacket
from visionops_assets.vision.preprocessing import Frame

FRAME_RATE_HZ = 25
KEY_FRAME_EVERY_S = 1.0
BACKGROUND = 90


def scene(seconds: float, *, moves_from_s: float, size: tuple[int, int]) -> Iterator[Frame]:
    """Yield pictures, RGB: a noisy wall, and from `moves_from_s` on a bright thing that passes."""
    noise = np.random.default_rng(7)
    width, height = size
    side = height // 3
    for number in range(round(seconds * FRAME_RATE_HZ)):
        picture = np.full((height, width, 3), BACKGROUND, np.uint8)
        picture += noise.integers(0, 4, picture.shape, np.uint8)
        if number >= moves_from_s * FRAME_RATE_HZ:
            left = number * 4 % (width - side)
            picture[side : 2 * side, left : left + side] = 250
        yield picture


def film(
    path: Path,
    seconds: float,
    *,
    moves_from_s: float = 0.0,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    container: str | None = None,
    b_frames: bool = True,
) -> Path:
    """Write `scene` as a video with a key frame at least every `KEY_FRAME_EVERY_S`."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=FRAME_RATE_HZ)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = round(KEY_FRAME_EVERY_S * FRAME_RATE_HZ)
        # One thread is one slice a picture, as cameras send it.
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "bf": "2" if b_frames else "0"}
        for number, picture in enumerate(scene(seconds, moves_from_s=moves_from_s, size=size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE_HZ)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def bare_packet(size: int = 1) -> VideoPacket:
    """Return a packet of a stream that there is not."""
    return cast(VideoPacket, av.Packet(bytes(size)))
