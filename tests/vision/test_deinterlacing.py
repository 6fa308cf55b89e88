"""Interlaced frames lose their comb, what stands still keeps its rows, others stay as they are."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.codec.context import Flags

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.vision.capture.cutting import make_cutter
from visionops_assets.vision.capture.messages import CutRules
from visionops_assets.vision.capture.stream import CameraStream
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.deinterlacing import deinterlaced, whole_ones
from visionops_assets.vision.framing import Frame

WIDTH, HEIGHT, COUNT = 64, 48, 20
MAX_PIXELS = 10**6
COMBED, SMOOTH = 15, 3
"""Mean differences of rows from their neighbours: the least of a comb, and the most of none."""


def pictures() -> list[Frame]:
    """Film a bar, its odd rows later than its even ones: a comb."""
    found = []
    for number in range(COUNT):
        picture = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
        for field in (0, 1):
            left = 4 * (2 * number + field) % (WIDTH - 12)
            picture[field::2, left : left + 12] = 220
        found.append(picture)
    return found


def film(path: Path, codec: str, *, is_interlaced: bool = True) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.gop_size = 1
        if is_interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def comb(picture: Frame) -> float:
    """Measure by how much rows differ from the mean of their neighbours."""
    gray = picture[..., 1].astype(int)
    return float(np.abs(gray[1:-1] - (gray[:-2] + gray[2:]) / 2).mean())


def decode(path: Path, **spec: object) -> list[Frame]:
    """Return the frames in the size of the pictures."""
    asked = {"size_px": 64, "resize": "letterbox", "video_sample_interval_s": 0.04, **spec}
    frames = decode_media(
        path,
        MediaKind.VIDEO,
        PreprocessingSpec.model_validate(asked),
        max_pixels=MAX_PIXELS,
        max_video_duration_s=60,
    )
    return [frame.pixels[8:56] for frame in frames]


@pytest.mark.parametrize(
    ("extension", "codec"), [("ts", "mpeg2video"), ("mp4", "libx264"), ("mkv", "libx264")]
)
def test_interlaced_frames_lose_their_comb(tmp_path: Path, extension: str, codec: str) -> None:
    path = film(tmp_path / f"v.{extension}", codec)
    whole, as_it_is = decode(path), decode(path, deinterlace=False)
    assert len(whole) == len(as_it_is) == COUNT
    assert max(map(comb, whole)) < SMOOTH
    assert min(map(comb, as_it_is)) > COMBED
    for made, kept in zip(whole, as_it_is, strict=True):
        same = np.abs(made.astype(int) - kept).mean(axis=(1, 2))
        assert min(same[0::2].mean(), same[1::2].mean()) < 2, "the rows that came first stay"


def test_a_frame_that_is_taken_seldom_has_its_neighbours(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", "libx264")
    every, some = decode(path), decode(path, video_sampling={"by": "every_nth", "n": 7})
    assert np.array_equal(some, every[::7])


def test_frames_that_do_not_say_so_stay_as_they_are(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", "libx264", is_interlaced=False)
    assert min(map(comb, decode(path))) > COMBED


def frames() -> list[av.VideoFrame]:
    made = [av.VideoFrame.from_ndarray(each, format="rgb24") for each in pictures()]
    return [frame.reformat(format="yuv420p") for frame in made]


def rgb(frame: av.VideoFrame) -> Frame:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def test_what_stands_still_keeps_its_rows() -> None:
    """A pattern of single rows is no comb, as the frames before and after show."""
    lines = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lines[::2] = 200
    before, frame, after = (
        av.VideoFrame.from_ndarray(lines, format="rgb24").reformat(format="yuv420p")
        for _ in range(3)
    )
    assert np.array_equal(rgb(deinterlaced(frame, before=before, after=after)), rgb(frame))


@pytest.mark.parametrize(("has_before", "has_after"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_frame_is_made_whole_with_what_neighbours_it_has(
    has_before: bool, has_after: bool
) -> None:
    before, frame, after = frames()[4:7]
    made = deinterlaced(
        frame, before=before if has_before else None, after=after if has_after else None
    )
    assert comb(rgb(frame)) > COMBED
    assert comb(rgb(made)) < SMOOTH


def test_neighbours_of_another_size_do_not_count() -> None:
    frame, other = frames()[5], frames()[4].reformat(width=32, height=24)
    alone = rgb(deinterlaced(frame))
    assert np.array_equal(rgb(deinterlaced(frame, before=other, after=other)), alone)


@pytest.mark.parametrize("size", [(2, 48), (64, 2), (1, 1)])
def test_a_tiny_frame_stays_as_it_is(size: tuple[int, int]) -> None:
    tiny = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0]), np.uint8), format="gray")
    assert deinterlaced(tiny) is tiny


def test_each_chosen_picture_comes_once_and_in_order(tmp_path: Path) -> None:
    with av.open(str(film(tmp_path / "v.mp4", "libx264"))) as container:
        decoded = [(float(number), f) for number, f in enumerate(container.decode(video=0))]
    chosen = {0, 3, 4, 19}
    for deinterlaces in (False, True):
        found = whole_ones(decoded, lambda s, _: s in chosen, deinterlaces=deinterlaces)
        assert [time_s for time_s, _ in found] == sorted(chosen)


def test_a_still_of_an_interlaced_camera_is_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", "libx264")
    with CameraStream(f"file:{path}", MAX_PIXELS) as stream:
        cutter = make_cutter(stream, CutRules(mode="still", every_s=1))
        cuts = (cutter.feed(packet, 0.0) for packet in stream._timed_packets())
        content = next(cut.content for cut in cuts if cut)
    still = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert comb(np.asarray(still, np.uint8)) < SMOOTH


@pytest.mark.parametrize("size", [(3, 48), (64, 4), (3, 4)])
def test_the_smallest_frame_that_the_filter_takes_is_made_whole(size: tuple[int, int]) -> None:
    small = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0]), np.uint8), format="gray")
    assert deinterlaced(small) is not small


def test_the_frame_behind_matters() -> None:
    before, frame, after = frames()[4:7]
    both = rgb(deinterlaced(frame, before=before, after=after))
    assert not np.array_equal(both, rgb(deinterlaced(frame, before=before)))
