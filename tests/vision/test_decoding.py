from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.vision.videos import counted, level_of, write_audio, write_video
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    MediaError,
    NoFramesError,
    NoVideoStreamError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedMediaError,
)
from visionops_assets.vision import decoding
from visionops_assets.vision.decoding import DecodedFrame, decode_media
from visionops_assets.vision.videos import open_video

MAX_PIXELS = 100_000
SPEC = PreprocessingSpec(size_px=16, video_sample_interval_s=1.0)
KEY_EACH_FIFTH = {"g": "5", "bf": "0", "sc_threshold": "1000000000"}


def decode(
    path: Path, spec: PreprocessingSpec = SPEC, limit: int = MAX_PIXELS
) -> list[DecodedFrame]:
    return list(
        decode_media(path, MediaKind.VIDEO, spec, max_pixels=limit, max_video_duration_s=60)
    )


def shown(frame: DecodedFrame) -> int:
    """Tell which written frame this is."""
    return round((float(frame.pixels[8, 12].mean()) - level_of(0)) / 10)


def test_an_image_is_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "no-extension"
    pixels = np.full((20, 30, 3), 77, np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (frame,) = decode_media(
        path, MediaKind.IMAGE, SPEC, max_pixels=MAX_PIXELS, max_video_duration_s=60
    )
    assert (frame.index, frame.time_s) == (0, 0.0)
    assert (frame.pixels == 77).all()
    assert frame.picture_px == (30, 20)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_size_is_that_of_the_upright_picture_though_it_is_reduced(
    tmp_path: Path, orientation: int
) -> None:
    path = tmp_path / "photograph.jpg"
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (301, 201)).save(path, exif=exif)
    [frame] = decode_media(
        path, MediaKind.IMAGE, SPEC, max_pixels=MAX_PIXELS, max_video_duration_s=60
    )
    assert frame.picture_px == ((301, 201) if orientation == 1 else (201, 301))


@pytest.mark.parametrize(
    ("extension", "codec"),
    [("mp4", "mpeg4"), ("mov", "mpeg4"), ("mkv", "mpeg4"), ("avi", "mpeg4"), ("mp4", "libx264"),
     ("ts", "libx264"), ("webm", "libvpx")],
)  # fmt: skip
def test_each_container_is_sampled_by_time(tmp_path: Path, extension: str, codec: str) -> None:
    path = write_video(tmp_path / f"video.{extension}", [i / 5 for i in range(20)], codec=codec)
    frames = decode(path)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1, 2, 3], abs=0.01)
    assert [shown(frame) for frame in frames] == [0, 5, 10, 15]
    assert all(frame.pixels.shape == (16, 16, 3) for frame in frames)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert {frame.picture_px for frame in frames} == {(stream.width, stream.height)}


def test_a_video_of_too_many_frames_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "video.mkv", [0.0, 1.0, 2.0])
    monkeypatch.setattr(decoding, "MAX_FRAMES", 3)
    assert len(decode(path)) == 3
    monkeypatch.setattr(decoding, "MAX_FRAMES", 2)
    with pytest.raises(TooLargeError, match="more than 2 frames"):
        decode(path)


def test_a_variable_frame_rate_is_sampled_at_or_after_each_interval(tmp_path: Path) -> None:
    times_s = [5.0, 5.1, 5.9, 6.2, 6.3, 9.5, 9.6, 10.0]
    frames = decode(write_video(tmp_path / "video.mkv", times_s))
    assert [shown(frame) for frame in frames] == [0, 3, 5, 7]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1.2, 4.5, 5.0], abs=0.01)


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", {"bf": "0"}), ("libx264", {"bf": "3", "b_strategy": "0"}), ("mpeg4", {"bf": "2"}),
     ("libx264", {"bf": "16", "b_strategy": "0", "b-pyramid": "none"})],
)  # fmt: skip
def test_times_in_decoding_order_are_dealt_out_in_the_order_shown(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    """AVI has no others, though its pictures may be shown in another order."""
    times_s = [i / 10 for i in range(20)]
    path = write_video(tmp_path / "video.avi", times_s, codec=codec, codec_options=options)
    frames = decode(path, SPEC.model_copy(update={"video_sample_interval_s": 0.1}))
    assert [shown(frame) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-6)
    seconds = decode(path)
    assert [(shown(frame), frame.time_s) for frame in seconds] == [(0, 0.0), (10, 1.0)]


MPEG_CLOCK_S = 2**33 / 90_000


@pytest.mark.parametrize("start_s", [0.0, 3.7, MPEG_CLOCK_S - 0.75])
def test_the_clock_of_mpeg_may_wrap_around(tmp_path: Path, start_s: float) -> None:
    times_s = [i / 10 for i in range(20)]
    path = write_video(
        tmp_path / "video.ts", [start_s + time_s for time_s in times_s], codec="libx264",
        options={"mpegts_copyts": "1"},
    )  # fmt: skip
    frames = decode(path, SPEC.model_copy(update={"video_sample_interval_s": 0.1}))
    assert [shown(frame) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-4)


def test_a_recording_that_is_appended_is_counted_from_the_end_of_the_first(tmp_path: Path) -> None:
    one = write_video(tmp_path / "v.ts", [i / 10 for i in range(20)], codec="libx264").read_bytes()
    (tmp_path / "both.ts").write_bytes(counted(one + one))
    frames = decode(tmp_path / "both.ts")
    assert [shown(frame) for frame in frames] == [0, 10, 0, 10]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1, 2, 3], abs=0.001)


def test_a_shorter_interval_gives_more_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", [i / 10 for i in range(20)])
    frames = decode(path, SPEC.model_copy(update={"video_sample_interval_s": 0.3}))
    assert [shown(frame) for frame in frames] == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"video_sampling": {"by": "every_nth", "n": 4}}, [0, 4, 8, 12]),
        ({"video_sampling": {"by": "key_frames"}}, [0, 5, 10]),
        ({"video_sampling": {"by": "scene_changes", "threshold": 0.1}}, [0, 4, 8, 12]),
        ({"video_sampling": {"by": "every_nth", "n": 1}, "max_frames_per_video": 4}, [0, 4, 8, 12]),
        ({"video_sample_interval_s": 0.5, "max_frames_per_video": 9}, [0, 5, 10]),
    ],
    ids=["every nth", "key frames", "scenes", "few", "few enough"],
)
def test_a_video_is_sampled_as_the_spec_says(
    tmp_path: Path, options: dict[str, Any], numbers: list[int]
) -> None:
    """Of 15 pictures; a quarter is white, so that a step is 7.5 of 255 levels."""
    times_s = [i / 10 for i in range(15)]
    path = write_video(tmp_path / "a.mp4", times_s, codec_options=KEY_EACH_FIFTH)
    frames = decode(path, PreprocessingSpec.model_validate({"size_px": 16, **options}))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [round(frame.time_s * 10) for frame in frames] == numbers
    assert [shown(frame) for frame in frames] == numbers


def test_pixels_are_counted_before_decoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", [0.0, 0.1])
    with pytest.raises(TooManyPixelsError, match="64 x 48"):
        decode(path, limit=64 * 48 - 1)


def write_growing_video(path: Path, *sizes: tuple[int, int]) -> Path:
    """Write JPEG frames of these sizes into a stream whose header has the first one's."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], "yuvj420p"
        for second, (width, height) in enumerate(sizes):
            jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base = stream, Fraction(1, 1)
            packet.pts = packet.dts = second
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_pixels_of_each_frame_are_counted_whatever_the_header_said(tmp_path: Path) -> None:
    """FFmpeg's own limit counts its padding, and so lets through 17 million pixels more."""
    path = write_growing_video(tmp_path / "video.mkv", (64, 48), (64, 48), (128, 96))
    assert len(decode(path, limit=128 * 96)) == 3
    with pytest.raises(TooManyPixelsError, match="128 x 96"):
        decode(path, limit=128 * 96 - 1)


@dataclass
class Packet:
    """One packet of a demuxer, and the frames that a decoder makes of it."""

    frames: list[Any]
    is_corrupt: bool = False
    size: int = 100

    def decode(self) -> list[Any]:
        if self.frames == ["invalid"]:
            raise av.InvalidDataError(1, "invalid")
        return self.frames


GOOD, BAD = SimpleNamespace(is_corrupt=False), SimpleNamespace(is_corrupt=True)
TIMES = SimpleNamespace(send=lambda _: None, show=lambda _: 0.0, forget=lambda: None)


def sound(packets: list[Packet], container: str = "matroska,webm", indexed: int = 0) -> int:
    """Count the frames that are found sound."""
    demuxer = SimpleNamespace(
        format=SimpleNamespace(name=container), demux=lambda _stream: iter(packets)
    )
    stream = SimpleNamespace(index_entries=[SimpleNamespace(size=1)] * indexed)
    return len(
        list(decoding._sound_frames(*cast("tuple[Any, Any, Any]", (demuxer, stream, TIMES))))
    )


@pytest.mark.parametrize(
    ("packets", "complaint"),
    [
        ([Packet([GOOD]), Packet([BAD])], "A frame of the video is damaged"),
        ([Packet([GOOD]), Packet([GOOD], is_corrupt=True)], "A packet of the video is damaged"),
        ([Packet([GOOD]), Packet([], is_corrupt=True)], "A packet of the video is damaged"),
        ([Packet([], is_corrupt=True), Packet([GOOD])], "A packet of the video is damaged"),
    ],
)
def test_what_is_damaged_is_no_frame(packets: list[Packet], complaint: str) -> None:
    """The demuxer may know it of a packet whose frames look sound to the decoder."""
    with pytest.raises(CorruptMediaError, match=complaint):
        sound(packets)


@pytest.mark.parametrize("container", ["mpegts", "mpeg"])
def test_a_broadcast_may_begin_amid_a_picture_and_is_sound_from_there(container: str) -> None:
    start = [Packet(["invalid"]), Packet([BAD]), Packet([], is_corrupt=True)]
    assert sound([*start, Packet([GOOD]), Packet([GOOD])], container) == 2
    with pytest.raises(CorruptMediaError, match="A frame"):
        sound([*start, Packet([GOOD]), Packet([BAD])], container)
    with pytest.raises(CorruptMediaError, match="A packet"):
        sound([*start, Packet([GOOD]), Packet([GOOD], is_corrupt=True)], container)
    with pytest.raises(av.InvalidDataError):
        sound([*start, Packet([GOOD]), Packet(["invalid"])], container)
    with pytest.raises(av.InvalidDataError):
        sound(start)


def test_every_packet_of_the_index_must_come() -> None:
    packets = [Packet([GOOD]), Packet([GOOD]), Packet([GOOD], size=0)]
    assert sound(packets, "avi", indexed=2) == 3
    with pytest.raises(CorruptMediaError, match="packets of the video are missing"):
        sound(packets, "avi", indexed=3)
    assert sound(packets, "matroska,webm", indexed=3) == 3, "its index is of key frames alone"


def test_a_container_without_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoVideoStreamError):
        decode(write_audio(tmp_path / "video.mp4"))


def test_a_video_without_frames_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoFramesError):
        decode(write_video(tmp_path / "video.mkv", []))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_truncated_video_is_corrupt(tmp_path: Path, keep: float) -> None:
    path = write_video(tmp_path / "video.mp4", [i / 10 for i in range(20)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(CorruptMediaError):
        decode(path)


def test_noise_behind_a_good_signature_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    noise = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + noise)
    with pytest.raises(MediaError):
        decode(path)


def test_the_kind_must_be_the_announced_one(tmp_path: Path) -> None:
    """By its content, and before a decoder of either kind sees it."""
    video = write_video(tmp_path / "video.mp4", [0.0, 0.1])
    image = tmp_path / "image.png"
    image.write_bytes(cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    for path, found, announced in (
        (video, MediaKind.VIDEO, MediaKind.IMAGE),
        (image, MediaKind.IMAGE, MediaKind.VIDEO),
    ):
        frames = decode_media(path, announced, SPEC, max_pixels=MAX_PIXELS, max_video_duration_s=60)
        with pytest.raises(
            UnsupportedMediaError, match=f"is a {found}, but was announced as a {announced}"
        ):
            list(frames)


SCRIPTS = {
    "ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_cannot_open_another_file(tmp_path: Path, script: str) -> None:
    secret = write_video(tmp_path / "secret.mp4", [0.0, 0.1])
    path = tmp_path / "innocent.mp4"
    path.write_text(SCRIPTS[script].format(name=secret.name))
    with pytest.raises(UnsupportedMediaError):
        decode(path)
    # Even past the sniffer, the demuxers that follow such scripts are not allowed.
    with pytest.raises(CorruptMediaError), open_video(path, will_decode=True):
        pass


def test_ffmpeg_would_have_followed_the_script(tmp_path: Path) -> None:
    """Shows that the test above refuses something: without the whitelist it plays."""
    secret = write_video(tmp_path / "secret.mp4", [0.0, 0.1])
    path = tmp_path / "innocent.mp4"
    path.write_text(SCRIPTS["ffconcat"].format(name=secret.name))
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 2
