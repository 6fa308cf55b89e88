from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.vision.videos import level_of, turn_clockwise, write_audio, write_video
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


def test_a_shorter_interval_gives_more_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", [i / 10 for i in range(20)])
    frames = decode(path, SPEC.model_copy(update={"video_sample_interval_s": 0.3}))
    assert [shown(frame) for frame in frames] == [0, 3, 6, 9, 12, 15, 18]


def test_rotation_metadata_is_applied(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", [0.0, 0.1])
    turn_clockwise(path)
    (frame,) = decode(path)
    assert frame.pixels[:3].mean() > 240, "the white left edge is at the top now"
    assert frame.pixels[8:].mean() < 40


def test_pixels_are_counted_before_decoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", [0.0, 0.1])
    with pytest.raises(TooManyPixelsError, match="64 x 48"):
        decode(path, limit=64 * 48 - 1)


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
    path = write_video(tmp_path / "video.mp4", [0.0, 0.1])
    with pytest.raises(UnsupportedMediaError):
        list(
            decode_media(
                path, MediaKind.IMAGE, SPEC, max_pixels=MAX_PIXELS, max_video_duration_s=60
            )
        )


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
