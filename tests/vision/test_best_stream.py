"""Of several video streams that one is read which players show, wherever it is looked at."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from av.stream import Disposition

from tests.vision.videos import Track, write_tracks
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.vision.capture.stream import CameraStream
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.probing import probe_video
from visionops_assets.vision.videos import best_moving

EVERY_FRAME = PreprocessingSpec(size_px=16, video_sample_interval_s=0.05)
MAX_PIXELS = 10**6

THUMBNAIL = Track("mjpeg", 1, size=(32, 32))
FILM = Track("libx264", 20)
MARKED = Track("libx264", 20, disposition=Disposition.default)
FOR_THE_DEAF = Track("libx264", 20, size=(32, 32), disposition=Disposition.hearing_impaired)
COVER = Track("mjpeg", 1, size=(32, 32), disposition=Disposition.attached_pic)
SLOW = Track("mjpeg", 20, rate_hz=1, size=(320, 240))


def probed_width(data: bytes) -> int:
    facts = probe_video(
        lambda offset, count: data[offset : offset + count],
        len(data),
        max_pixels=MAX_PIXELS,
        max_duration_s=60,
    )
    return facts.width


def decoded(path: Path) -> int:
    frames = decode_media(
        path, MediaKind.VIDEO, EVERY_FRAME, max_pixels=MAX_PIXELS, max_video_duration_s=60
    )
    return len(list(frames))


@pytest.mark.parametrize(
    ("extension", "tracks"),
    [
        ("mkv", (THUMBNAIL, FILM)),
        ("ts", (THUMBNAIL, FILM)),
        ("avi", (THUMBNAIL, FILM)),
        ("mkv", (FILM, THUMBNAIL)),
        ("avi", (FILM, THUMBNAIL)),
        ("mkv", (FOR_THE_DEAF, MARKED)),
    ],
)
def test_the_film_is_chosen_in_front_or_behind(
    tmp_path: Path, extension: str, tracks: tuple[Track, ...]
) -> None:
    path = write_tracks(tmp_path / f"v.{extension}", *tracks)
    assert probed_width(path.read_bytes()) == 64
    assert decoded(path) == 20
    with CameraStream(f"file:{path}", MAX_PIXELS) as stream:
        assert stream.codec.width == 64


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_cover_art_is_no_film_whatever_is_said_of_it(tmp_path: Path, extension: str) -> None:
    path = write_tracks(tmp_path / f"v.{extension}", COVER, FILM)
    assert probed_width(path.read_bytes()) == 64
    assert decoded(path) == 20


def test_cover_art_that_ffmpeg_calls_best_is_left_out() -> None:
    cover, film = (SimpleNamespace(disposition=kind) for kind in (Disposition.attached_pic, 0))

    def container(*streams: object) -> Any:
        return SimpleNamespace(streams=SimpleNamespace(video=streams, best=lambda _: cover))

    assert best_moving(container(cover, film)) is cast("Any", film)
    assert best_moving(container(cover)) is None
    assert best_moving(container()) is None


@pytest.mark.parametrize("extension", ["mkv", "mp4", "ts", "avi"])
@pytest.mark.parametrize("tracks", [(SLOW, FILM), (FILM, SLOW)], ids=["slow first", "slow last"])
def test_probing_and_decoding_choose_the_same(
    tmp_path: Path, extension: str, tracks: tuple[Track, ...]
) -> None:
    """Though probing decodes nothing, and so may read on where decoding has seen enough."""
    path = write_tracks(tmp_path / f"v.{extension}", *tracks)
    width = probed_width(path.read_bytes())
    chosen = next(track for track in tracks if track.size[0] == width)
    seconds = decode_media(
        path,
        MediaKind.VIDEO,
        PreprocessingSpec(size_px=16),
        max_pixels=MAX_PIXELS,
        max_video_duration_s=60,
    )
    assert len(list(seconds)) == chosen.count // chosen.rate_hz
