"""Turns a media file into preprocessed frames. Runs inside the sandbox; files are not trusted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video import VideoStream

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    NoFramesError,
    TooLargeError,
    UnsupportedMediaError,
)
from visionops_assets.vision.checksums import check_checksums
from visionops_assets.vision.choosing import choice_alike, choice_of, evenly
from visionops_assets.vision.deinterlacing import Picture, whole_ones
from visionops_assets.vision.display import Display
from visionops_assets.vision.framing import preprocess_pixels
from visionops_assets.vision.preprocessing import (
    Frame,
    needed_picture,
    preprocess_image_for_each,
)
from visionops_assets.vision.second_decoder import decode_by_pillow
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff
from visionops_assets.vision.timing import StreamTimes
from visionops_assets.vision.truncation import check_whole
from visionops_assets.vision.videos import check_duration, check_video, open_video

# Padding of 128 in each direction, for a picture as wide or as high as any codec allows.
BUFFER_PADDING_PIXELS = 128 * (65_536 + 65_536 + 128)
# Cut from broadcasts and discs.
BEGINS_MIDWAY = frozenset({"mpegts", "mpeg"})
FORMATS_WITH_FULL_INDEX = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "avi"})
# These decoders do not mark frames with a filled hole; they can be told to fail.
MENDS_SILENTLY = frozenset({"mjpeg", "hevc"})
# A file of a few megabytes may hold a picture for each second of a year, and the frames of one file
# are held in memory and committed at once. This limit is more than five hours at one frame per
# second.
MAX_FRAMES = 20_000


Size = tuple[int, int]
Shown = tuple[float, list[Frame], Size]
"""A picture: its time in seconds, its frame by each of some specs, its width and height."""


@dataclass(frozen=True)
class DecodedFrame:
    """One preprocessed frame: uint8 (S, S, 3) RGB; `time_s` from the start, 0 in an image.

    `picture_px` is width and height of the picture that it is of, upright.
    """

    index: int
    time_s: float
    pixels: Frame
    picture_px: Size


def decode_media(
    path: Path,
    kind: MediaKind,
    spec: PreprocessingSpec,
    *,
    max_pixels: int,
    max_video_duration_s: float,
    threads: int = 1,
) -> Iterator[DecodedFrame]:
    """Decode an image into one frame, or a video into the frames that the spec chooses.

    See `decode_for_each`.
    """
    found = decode_for_each(
        path,
        kind,
        [spec],
        max_pixels=max_pixels,
        max_video_duration_s=max_video_duration_s,
        threads=threads,
    )
    return (frame for _, frame in found)


def decode_for_each(
    path: Path,
    kind: MediaKind,
    specs: Sequence[PreprocessingSpec],
    *,
    max_pixels: int,
    max_video_duration_s: float,
    threads: int = 1,
) -> Iterator[tuple[int, DecodedFrame]]:
    """Decode a file by several specs; yield each frame with the place of its spec.

    A spec's frames are the same whichever others are asked for. Specs that see the same pictures
    (images of one size, or videos sampled in one way) share a decoding.

    A video is shown as by a player. A truncated or damaged file ends in an error: no frame counts
    until the last has come. More `threads` decode one video sooner, for some 20 % more work.

    Raises:
        MediaError: the subclass says why the file cannot be used.
    """
    with path.open("rb") as file:
        found, _ = sniff(file.read(SNIFF_BYTES))
    if found is not kind:
        raise UnsupportedMediaError(f"The file is a {found}, but was announced as a {kind}.")
    seen_alike: dict[object, list[int]] = {}
    for place, spec in enumerate(specs):
        needs = needed_picture(spec) if kind is MediaKind.IMAGE else choice_alike(spec)
        seen_alike.setdefault(needs, []).append(place)
    for places in seen_alike.values():
        alike = [specs[place] for place in places]
        if kind is MediaKind.IMAGE:
            shown = _decode_image(path, alike, max_pixels)
        else:
            shown = _decode_video(path, alike, max_pixels, max_video_duration_s, threads)
        for index, (time_s, frames, picture_px) in enumerate(shown):
            for place, pixels in zip(places, frames, strict=True):
                yield place, DecodedFrame(index, time_s, pixels, picture_px)


def _decode_image(
    path: Path, specs: Sequence[PreprocessingSpec], max_pixels: int
) -> Iterator[Shown]:
    data = path.read_bytes()
    frames, size = preprocess_image_for_each(
        data, specs, max_pixels=max_pixels, second_decoder=decode_by_pillow
    )
    check_checksums(data)
    yield 0.0, frames, size


def _decode_video(
    path: Path,
    specs: Sequence[PreprocessingSpec],
    max_pixels: int,
    max_duration_s: float,
    threads: int,
) -> Iterator[Shown]:
    """Decode a video once, for specs that choose the same of its frames."""
    spec = specs[0]
    with path.open("rb") as file:
        check_whole(file)
    with open_video(path, will_decode=True) as container:
        stream, _ = check_video(container, max_pixels=max_pixels, max_duration_s=max_duration_s)
        stream.codec_context.thread_count = threads
        # By slices alone nothing is gained: most encoders make one per picture.
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.options = _codec_options(stream, max_pixels)
        display = Display(stream, max_pixels)
        choice, most = choice_of(spec), spec.max_frames_per_video

        def preprocessed(picture: Picture) -> Shown:
            time_s, frame = picture
            check_duration(time_s, max_duration_s)
            pixels = display.picture(frame, "rgb24")
            height, width = pixels.shape[:2]
            return time_s, [preprocess_pixels(pixels, each) for each in specs], (width, height)

        pictures = _sound_frames(container, stream, StreamTimes(stream))
        chosen = whole_ones(pictures, choice, deinterlaces=spec.deinterlace)
        frames = evenly(chosen, most, preprocessed) if most else map(preprocessed, chosen)
        count = 0
        for count, shown in enumerate(frames, start=1):
            if count > MAX_FRAMES:
                raise TooLargeError(f"The video gives more than {MAX_FRAMES:,} frames. Cut it.")
            yield shown
    if not count:
        raise NoFramesError("The video has no frame that decodes.")


def _codec_options(stream: VideoStream, max_pixels: int) -> dict[str, str]:
    # A picture may be larger than the header says. FFmpeg counts the padding of its buffers, too.
    options = {"max_pixels": str(max_pixels + BUFFER_PADDING_PIXELS)}
    if stream.codec_context.codec.canonical_name in MENDS_SILENTLY:
        options["err_detect"] = "explode"
    return options


def _sound_frames(
    container: InputContainer, stream: VideoStream, times: StreamTimes
) -> Iterator[Picture]:
    """Decode every frame, with its time in seconds, and stop at the first that is damaged.

    MPEG-TS and MPEG-PS may begin midway: packets before the first whole frame refer to others that
    were never part of the file, and are left out.

    Raises:
        CorruptMediaError: a packet or a frame is damaged.
    """
    may_begin_midway = container.format.name in BEGINS_MIDWAY
    packet_count = 0
    for packet in container.demux(stream):
        packet_count += packet.size > 0
        times.send(packet)
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            if may_begin_midway:
                times.forget()
                continue
            raise
        for frame in frames:
            if not frame.is_corrupt:
                may_begin_midway = False
                yield times.show(frame), frame
            elif not may_begin_midway:
                raise CorruptMediaError("A frame of the video is damaged. Upload it again.")
            else:
                times.forget()
        if packet.is_corrupt and not may_begin_midway:
            raise CorruptMediaError("A packet of the video is damaged. Upload it again.")
    if packet_count < _indexed_packets(container, stream):
        raise CorruptMediaError("Some packets of the video are missing. Upload it again.")


def _indexed_packets(container: InputContainer, stream: VideoStream) -> int:
    """Count the packets in the file's own index; 0 if that lists only key frames."""
    if container.format.name not in FORMATS_WITH_FULL_INDEX:
        return 0
    return sum(entry.size > 0 for entry in stream.index_entries)
