"""Opens a video and checks its declarations, before any picture is decoded.

Probing and decoding both begin here, so that they refuse the same files. Runs inside the sandbox.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video import VideoStream

from visionops_assets.errors import (
    CorruptMediaError,
    NoFramesError,
    NoVideoStreamError,
    TooLongError,
    UnsupportedCodecError,
)
from visionops_assets.vision.display import shown_size
from visionops_assets.vision.headers import check_pixels
from visionops_assets.vision.inspection import VideoFacts
from visionops_assets.vision.reading import ReadableFile

# FFmpeg follows playlists and scripts to other files, so only these demuxers and plain files.
FORMAT_WHITELIST = "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg,mxf"
PROTOCOL_WHITELIST = "file"
# The codecs that cameras, phones, browsers and editors write, by FFmpeg's names. A missing decoder
# cannot be attacked; sound is never decoded.
VIDEO_CODECS = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "theora", "mjpeg", "h263", "mpeg1video", "mpeg2video"}
    | {"mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "vc1", "dvvideo"}
    | {"prores", "dnxhd", "ffv1"}
)
AV1_DECODER = "libdav1d"
IO_BUFFER_BYTES = 256 * 1024


@contextmanager
def open_video(source: Path | ReadableFile, *, will_decode: bool) -> Iterator[InputContainer]:
    """Open a file, or something that reads like one. No other file is opened through it.

    Raises:
        CorruptMediaError: FFmpeg could not read it, here or within the block.
        NoFramesError: it ends before the first frame.
    """
    options = {
        "format_whitelist": FORMAT_WHITELIST,
        "protocol_whitelist": PROTOCOL_WHITELIST,
        "codec_whitelist": ",".join([*sorted(VIDEO_CODECS), AV1_DECODER]),
        # FFmpeg decodes some frames to learn about delays, unless it is told to read headers only.
        "skip_frame": "default" if will_decode else "all",
    }
    target = f"file:{source}" if isinstance(source, Path) else source
    try:
        with av.open(
            target,
            "r",
            options=options,
            metadata_errors="replace",  # titles in other encodings are common
            buffer_size=IO_BUFFER_BYTES,
        ) as container:
            yield container
    except MemoryError:
        raise
    except av.BlockingIOError as error:  # no thread can be started
        raise MemoryError("FFmpeg has no memory for a thread") from error
    except av.EOFError as error:
        raise NoFramesError("The video ends before its first frame.") from error
    except av.FFmpegError as error:
        raise CorruptMediaError(f"The video does not decode: {error.strerror}.") from error


def check_video(
    container: InputContainer, *, max_pixels: int, max_duration_s: float
) -> tuple[VideoStream, VideoFacts]:
    """Choose the stream of moving pictures and check its declarations.

    Raises:
        NoVideoStreamError: it has only sound or cover art.
        UnsupportedCodecError: the codec is not in `VIDEO_CODECS`.
        TooManyPixelsError: a picture has more than `max_pixels` as shown.
        TooLongError: it lasts longer than `max_duration_s`.
        NoFramesError: it has no streams, or lasts zero seconds.
        CorruptMediaError: it declares pictures without pixels.
    """
    stream = _video_stream(container)
    codec = stream.codec_context
    width, height = codec.width, codec.height
    if width <= 0 or height <= 0:
        raise CorruptMediaError(f"The video declares {width} x {height} pixels.")
    check_pixels(*shown_size(width, height, stream.sample_aspect_ratio), max_pixels)
    duration_s = _duration_s(container, stream)
    if duration_s is not None:
        if duration_s <= 0:
            raise NoFramesError("The video lasts zero seconds.")
        check_duration(duration_s, max_duration_s)
    return stream, VideoFacts(
        width=width,
        height=height,
        duration_s=duration_s,
        codec=codec.codec.canonical_name,
        container=container.format.name,
    )


def check_duration(duration_s: float, max_duration_s: float) -> None:
    """Refuse a video above the limit.

    Raises:
        TooLongError: it lasts longer than `max_duration_s`.
    """
    if duration_s > max_duration_s:
        raise TooLongError(
            f"The video lasts {duration_s:,.0f} s; the limit is {max_duration_s:,.0f} s. Cut it."
        )


def best_moving(container: InputContainer) -> VideoStream | None:
    """Return the stream of moving pictures that players show, or None.

    FFmpeg calls that stream best: first by what the file says of it, then by its pictures and its
    bit rate, so that a thumbnail in front does not count. Cover art is never moving.
    """
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((s for s in moving if s is best), moving[0] if moving else None)


def _video_stream(container: InputContainer) -> VideoStream:
    """Take the best stream of moving pictures, and let the demuxer leave out the others."""
    if not len(container.streams):
        raise NoFramesError("The file has no streams.")
    chosen = best_moving(container)
    if chosen is None:
        raise NoVideoStreamError("The file has no video stream. Upload a video with pictures.")
    # A stream without a decoder has no codec context, whatever its type annotation says.
    known: object = chosen.codec_context
    if known is None or chosen.codec_context.codec.canonical_name not in VIDEO_CODECS:
        name = "unknown" if known is None else chosen.codec_context.codec.canonical_name
        raise UnsupportedCodecError(
            f"The video codec is {name}. Convert the video to H.264, HEVC, VP9 or AV1."
        )
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
