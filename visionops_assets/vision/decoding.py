"""From a media file to preprocessed frames. Runs inside the sandbox; files are not trusted.

Videos are sampled by time, not by count, so that variable frame rates come out right.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video import VideoFrame, VideoStream

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    NoFramesError,
    NoVideoStreamError,
    TooLargeError,
    UnsupportedMediaError,
)
from visionops_assets.vision.preprocessing import (
    Frame,
    check_pixels,
    preprocess_image,
    preprocess_pixels,
)
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

DECODER_THREADS = 2
# FFmpeg follows playlists and scripts to other files: only these demuxers, only plain files.
FORMAT_WHITELIST = "mov,matroska,avi,mpegts"
PROTOCOL_WHITELIST = "file"
# Times are ratios of integers: a frame due at 2 s may come at 1.9999999.
TIME_TOLERANCE_S = 1e-6
# A file of a few megabytes may hold a picture for each second of a year: the frames of one file are
# held in memory, and committed at once. This is more than five hours at one a second.
MAX_FRAMES = 20_000


@dataclass(frozen=True)
class DecodedFrame:
    """One preprocessed frame: uint8 (S, S, 3) RGB; `time_s` from the start, 0 in an image."""

    index: int
    time_s: float
    pixels: Frame


def decode_media(
    path: Path, kind: MediaKind, spec: PreprocessingSpec, *, max_pixels: int
) -> Iterator[DecodedFrame]:
    """Decode an image into one frame, or a video into the frame at or after each interval.

    Of a video the intervals are `spec.video_sample_interval_s`; rotation metadata is applied and
    frames that the decoder marks as damaged are passed over. A video that was cut off may give the
    frames before the cut, each of them whole; an image that was cut off gives nothing.

    Raises:
        MediaError: its subclasses say why the file cannot be used.
    """
    with path.open("rb") as file:
        found, _ = sniff(file.read(SNIFF_BYTES))
    if found is not kind:
        raise UnsupportedMediaError(f"The file is a {found}, but was announced as a {kind}.")
    if kind is MediaKind.IMAGE:
        pixels = preprocess_image(path.read_bytes(), spec, max_pixels=max_pixels)
        yield DecodedFrame(0, 0.0, pixels)
        return
    try:
        yield from _decode_video(path, spec, max_pixels)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise CorruptMediaError(f"The video does not decode: {error.strerror}.") from error


def _decode_video(path: Path, spec: PreprocessingSpec, max_pixels: int) -> Iterator[DecodedFrame]:
    options = {
        "format_whitelist": FORMAT_WHITELIST,
        "protocol_whitelist": PROTOCOL_WHITELIST,
        "max_pixels": str(max_pixels),
    }
    index = 0
    with av.open(f"file:{path}", options=options) as container:
        stream = _video_stream(container)
        check_pixels(stream.codec_context.width, stream.codec_context.height, max_pixels)
        stream.codec_context.thread_count = DECODER_THREADS
        for time_s, frame in _sample(container, stream, spec.video_sample_interval_s):
            check_pixels(frame.width, frame.height, max_pixels)
            if index == MAX_FRAMES:
                raise TooLargeError(f"The video gives more than {MAX_FRAMES:,} frames. Cut it.")
            yield DecodedFrame(index, time_s, preprocess_pixels(_upright(frame), spec))
            index += 1
    if not index:
        raise NoFramesError("The video has no frame that decodes.")


def _video_stream(container: InputContainer) -> VideoStream:
    """Take the first stream of moving pictures; the cover art of a song is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise NoVideoStreamError("The file has no video stream. Upload a video with pictures.")


def _sample(
    container: InputContainer, stream: VideoStream, interval_s: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Pick the frame at or after each multiple of the interval, counted from the first frame."""
    start_s: float | None = None
    due_s = 0.0
    for frame in container.decode(stream):
        if frame.time is None or frame.is_corrupt:
            continue
        start_s = frame.time if start_s is None else start_s
        time_s = frame.time - start_s
        if time_s >= due_s - TIME_TOLERANCE_S:
            yield max(0.0, time_s), frame
            due_s = (math.floor((time_s + TIME_TOLERANCE_S) / interval_s) + 1) * interval_s


def _upright(frame: VideoFrame) -> Frame:
    """Convert to RGB and apply the rotation that the container asks for."""
    rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))
