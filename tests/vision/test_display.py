"""Frames as a player shows them: turned and mirrored in all eight ways, with square pixels."""

import io
import itertools
import math
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.vision.videos import counted, set_matrix, write_video
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import TooManyPixelsError
from visionops_assets.vision.capture.cutting import make_cutter
from visionops_assets.vision.capture.messages import CutRules
from visionops_assets.vision.capture.stream import CameraStream
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.display import Turn, shown_size, turn_of, turned
from visionops_assets.vision.framing import Frame

MAX_PIXELS = 10**6
COLOURS = {"R": (200, 30, 30), "G": (30, 180, 30), "B": (30, 30, 200), "Y": (220, 220, 40)}
STORED = "RGBY"
"""The corners of a stored picture: top left, top right, bottom left, bottom right."""
EIGHT: dict[Turn, str] = {
    (1, 0, 0, 1): "RGBY",
    (-1, 0, 0, 1): "GRYB",
    (1, 0, 0, -1): "BYRG",
    (-1, 0, 0, -1): "YBGR",
    (0, 1, 1, 0): "RBGY",
    (0, 1, -1, 0): "BRYG",
    (0, -1, 1, 0): "GYRB",
    (0, -1, -1, 0): "YGBR",
}
"""The corners as FFmpeg's player shows them, by matrix."""


def quarters(width: int = 64, height: int = 48) -> Frame:
    """Return a picture of four colours, as in `STORED`."""
    picture = np.zeros((height, width, 3), np.uint8)
    for colour, (top, left) in zip(STORED, itertools.product((0, 1), (0, 1)), strict=True):
        rows, columns = np.s_[: height // 2], np.s_[: width // 2]
        part = picture[height // 2 :] if top else picture[rows]
        (part[:, width // 2 :] if left else part[:, columns])[:] = COLOURS[colour]
    return picture


def corners(picture: Frame) -> str:
    """Name the colours of the corners."""
    height, width = picture.shape[:2]
    at = [picture[y, x] for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]
    return "".join(
        min(COLOURS, key=lambda name: float(np.abs(np.subtract(COLOURS[name], pixel)).sum()))
        for pixel in at
    )


def film(path: Path, *, codec: str = "libx264", frames: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 1
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(), format="rgb24")))
        container.mux(stream.encode())
    return path


def decode(path: Path, size_px: int = 64) -> Frame:
    spec = PreprocessingSpec(size_px=size_px, resize="letterbox")
    first, *_ = decode_media(
        path, MediaKind.VIDEO, spec, max_pixels=MAX_PIXELS, max_video_duration_s=60
    )
    return first.pixels


def lit(picture: Frame) -> tuple[int, int]:
    """Return the height and width of what is not black."""
    bright = picture.max(axis=2) > 15
    return int(bright.any(axis=1).sum()), int(bright.any(axis=0).sum())


@pytest.mark.parametrize(("matrix", "shown"), EIGHT.items())
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_video_is_shown_in_each_of_eight_ways(
    tmp_path: Path, matrix: Turn, shown: str, codec: str
) -> None:
    path = film(tmp_path / "v.mp4", codec=codec)
    set_matrix(path, *matrix)
    picture = decode(path)
    assert lit(picture) == ((48, 64) if matrix[0] else (64, 48))
    rows, columns = (np.s_[8:56], np.s_[:]) if matrix[0] else (np.s_[:], np.s_[8:56])
    assert corners(picture[rows, columns]) == shown


@pytest.mark.parametrize(("matrix", "shown"), EIGHT.items())
def test_a_camera_is_shown_in_each_of_eight_ways(tmp_path: Path, matrix: Turn, shown: str) -> None:
    path = film(tmp_path / "camera.mp4", frames=12)
    set_matrix(path, *matrix)
    still, clip = cut(path, "still"), cut(path, "clip")
    bgr = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
    assert corners(np.asarray(bgr, np.uint8)[..., ::-1]) == shown
    (tmp_path / "clip.mp4").write_bytes(clip)
    picture = decode(tmp_path / "clip.mp4")
    assert corners(picture[8:56] if matrix[0] else picture[:, 8:56]) == shown


def cut(path: Path, mode: str) -> bytes:
    """Return the first still or clip of a camera."""
    rules = CutRules.model_validate({"mode": mode, "every_s": 1, "clip_s": 0.5})
    with CameraStream(f"file:{path}", MAX_PIXELS) as stream:
        cutter = make_cutter(stream, rules)
        for number, packet in enumerate(stream._timed_packets()):
            found = cutter.feed(packet, number / 10)
            if found is not None:
                return found.content
    raise AssertionError("nothing was cut")


@given(
    angle=st.floats(-180, 180).filter(lambda angle: abs(angle % 90 - 45) > 1),
    is_mirrored=st.booleans(),
    size=st.tuples(st.integers(2, 5), st.integers(2, 5)),
)
def test_any_matrix_is_rounded_to_quarters(
    angle: float, is_mirrored: bool, size: tuple[int, int]
) -> None:
    """Each pixel lands where the matrix of the nearest quarter puts it."""
    pixels = np.arange(math.prod(size) * 3, dtype=np.uint8).reshape(*size, 3)

    def matrix(degrees: float) -> Turn:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        mirror = -1 if is_mirrored else 1
        return mirror * cosine, sine, -mirror * sine, cosine

    found = turned(pixels, matrix(angle))
    a, b, c, d = (round(value) for value in matrix(90 * round(angle / 90)))
    targets = {
        (a * x + c * y, b * x + d * y): pixels[y, x].tolist()
        for y in range(size[0])
        for x in range(size[1])
    }
    left, top = (min(place[axis] for place in targets) for axis in (0, 1))
    for (x, y), colour in targets.items():
        assert found[y - top, x - left].tolist() == colour


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_frame_with_exif_is_turned(tmp_path: Path, orientation: int) -> None:
    """PyAV cannot list the side data of such a frame, so its mirrors are lost."""
    exif = Image.Exif()
    exif[274] = orientation
    jpeg = io.BytesIO()
    picture = Image.fromarray(quarters())
    picture.save(jpeg, "JPEG", exif=exif, quality=95)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packet = av.Packet(jpeg.getvalue())
        packet.stream, packet.time_base = stream, Fraction(1, 1)
        packet.pts = packet.dts = 0
        packet.is_keyframe = True
        container.mux(packet)
    shown = decode(tmp_path / "v.mkv")
    shown = shown[:, 8:56] if orientation > 4 else shown[8:56]
    upright = ImageOps.exif_transpose(Image.open(jpeg))
    assert corners(shown) == corners(np.asarray(upright, np.uint8))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_rotation_alone_is_counter_clockwise(degrees: int) -> None:
    class Frame:
        rotation = degrees

        @property
        def side_data(self) -> Any:
            raise ValueError("31 is not a valid Type")

    pixels = quarters()
    found = turned(pixels, turn_of(cast("av.VideoFrame", Frame())))
    assert np.array_equal(found, np.rot90(pixels, degrees // 90 % 4))


def test_a_frame_without_a_matrix_stays_as_it_is() -> None:
    frame = cast("av.VideoFrame", SimpleNamespace(side_data={}))
    assert np.array_equal(turned(quarters(), turn_of(frame)), quarters())


@pytest.mark.parametrize(
    ("aspect", "shown"),
    [(Fraction(4), (12, 64)), (Fraction(1, 3), (64, 28)), (Fraction(16, 11), (33, 64)),
     (Fraction(1), (48, 64)), (None, (48, 64))],
)  # fmt: skip
@pytest.mark.parametrize(
    ("extension", "codec"),
    [("mp4", "libx264"), ("mov", "mpeg4"), ("mkv", "libx264"), ("mkv", "mpeg4"), ("ts", "libx264"),
     ("avi", "libx264")],
)  # fmt: skip
def test_pixels_become_square(
    tmp_path: Path,
    extension: str,
    codec: str,
    aspect: Fraction | None,
    shown: tuple[int, int],
) -> None:
    path = write_video(
        tmp_path / f"v.{extension}", [i / 10 for i in range(8)], codec=codec, pixel_aspect=aspect
    )
    assert lit(decode(path)) == pytest.approx(shown, abs=1)


def test_the_turn_comes_after_the_pixels_are_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [0.0, 0.1], pixel_aspect=Fraction(4))
    set_matrix(path, 0, 1, -1, 0)
    assert lit(decode(path)) == (64, 12)


def test_a_ratio_may_change_within_a_stream(tmp_path: Path) -> None:
    """As where a broadcast of 4:3 is followed by one of 16:9."""
    times_s = [i / 10 for i in range(8)]
    parts = [
        write_video(
            tmp_path / f"{a}.ts",
            times_s,
            codec="libx264",
            pixel_aspect=Fraction(a),
            codec_options={"bf": "0"},
        )
        for a in (2, 4)
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(counted(b"".join(part.read_bytes() for part in parts)))
    spec = PreprocessingSpec(size_px=64, resize="letterbox", video_sample_interval_s=0.05)
    frames = decode_media(
        path, MediaKind.VIDEO, spec, max_pixels=MAX_PIXELS, max_video_duration_s=60
    )
    assert [lit(frame.pixels)[0] for frame in frames] == pytest.approx([24] * 8 + [12] * 8, abs=1)


def test_a_container_is_right_where_its_pictures_say_otherwise(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [0.0, 0.1], codec="libx264", pixel_aspect=Fraction(4))
    data = bytearray(path.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 8] = (2).to_bytes(4, "big") + (1).to_bytes(4, "big")
    path.write_bytes(data)
    assert lit(decode(path)) == (24, 64)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_camera_keeps_the_ratio(tmp_path: Path, extension: str) -> None:
    times_s = [i / 10 for i in range(12)]
    path = write_video(
        tmp_path / f"v.{extension}", times_s, codec="libx264", pixel_aspect=Fraction(4),
        codec_options={"g": "1"},
    )  # fmt: skip
    still = cv2.imdecode(np.frombuffer(cut(path, "still"), np.uint8), cv2.IMREAD_COLOR)
    assert still is not None
    assert still.shape == (48, 256, 3)
    (tmp_path / "clip.mp4").write_bytes(cut(path, "clip"))
    assert lit(decode(tmp_path / "clip.mp4")) == (12, 64)


def test_pixels_are_counted_as_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [0.0, 0.1], pixel_aspect=Fraction(4))
    spec = PreprocessingSpec(size_px=16)
    for limit, is_enough in ((256 * 48, True), (256 * 48 - 1, False)):
        frames = decode_media(
            path, MediaKind.VIDEO, spec, max_pixels=limit, max_video_duration_s=60
        )
        if is_enough:
            assert len(list(frames)) == 1
            continue
        with pytest.raises(TooManyPixelsError, match="256 x 48"):
            list(frames)


@given(
    width=st.integers(1, 8_000),
    height=st.integers(1, 8_000),
    aspect=st.fractions(Fraction(1, 50), 50),
)
def test_square_pixels_lose_no_detail_and_keep_the_shape(
    width: int, height: int, aspect: Fraction
) -> None:
    shown_width, shown_height = shown_size(width, height, aspect)
    assert shown_width == width or shown_height == height
    assert shown_width >= width
    assert shown_height >= height
    wanted = Fraction(width, height) * aspect
    error = max(Fraction(1, shown_width), Fraction(1, shown_height))
    assert abs(Fraction(shown_width, shown_height) / wanted - 1) <= error


class OddFrame:
    """A frame with side data that PyAV does not know: it says its turn in degrees alone."""

    def __init__(self, rotation: int) -> None:
        self.rotation = rotation

    @property
    def side_data(self) -> dict[object, bytes]:
        raise ValueError("not a known kind of side data")


@pytest.mark.parametrize("degrees", [-270, -180, -90, 0, 90, 180, 270, 91, -1])
def test_a_turn_in_degrees_is_counter_clockwise(degrees: int) -> None:
    picture = quarters()
    found = turned(picture, turn_of(cast("Any", OddFrame(degrees))))
    assert np.array_equal(found, np.rot90(picture, round(degrees / 90)))


@pytest.mark.parametrize("sign", [1, -1])
def test_half_of_a_quarter_turn_keeps_rows_rows(sign: int) -> None:
    """Of two ways that are as near, the one that keeps the shape."""
    assert turned(quarters(), (1, sign, -sign, 1)).shape == quarters().shape
