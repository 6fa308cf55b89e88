import io
import json
import os
import signal
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from tests.vision.corpus import CASES
from tests.vision.videos import write_video
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    DecoderCrashedError,
    EmptyMediaError,
    TooManyPixelsError,
)
from visionops_assets.settings import Settings
from visionops_assets.vision import images, preprocessing
from visionops_assets.vision.crop_hashes import crop_hashes
from visionops_assets.vision.decoding import decode_for_each, decode_media
from visionops_assets.vision.inspection import VideoFacts
from visionops_assets.vision.monitoring.quality import measure_frame
from visionops_assets.vision.preprocessing import decode_frame, perceptual_hash
from visionops_assets.vision.sandbox import child
from visionops_assets.vision.sandbox import process as sandbox_process
from visionops_assets.vision.sandbox.decoder import DecoderSandbox
from visionops_assets.vision.sandbox.messages import (
    LENGTHS,
    DoneReply,
    ErrorReply,
    read_message,
)

SPEC = PreprocessingSpec(size_px=16)
MEMORY_BYTES = 800 * 1024**2
MAX_PIXELS = 1_000_000_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecoderSandbox]:
    with DecoderSandbox(
        timeout_s=20, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=60
    ) as opened:
        yield opened


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def child_pid(sandbox: DecoderSandbox) -> int:
    assert sandbox._child is not None
    return sandbox._child.pid


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and ends before its pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + chunk + struct.pack(">I", zlib.crc32(chunk))


def header_of_a_big_bitmap() -> bytes:
    """Return a BMP that declares 1.2 GB of pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, 20_000, 20_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def test_the_size_of_the_picture_comes_with_its_frames(
    sandbox: DecoderSandbox, tmp_path: Path
) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    [result] = sandbox.decode_each([path], MediaKind.IMAGE, [SPEC])
    assert result.picture_px == (30, 20)


def test_frames_are_those_of_a_decode_in_process(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    video = write_video(tmp_path / "video.mp4", [i / 5 for i in range(12)])
    for path, kind in ((picture, MediaKind.IMAGE), (video, MediaKind.VIDEO)):
        frames = sandbox.decode(path, kind, SPEC)
        expected = list(
            decode_media(path, kind, SPEC, max_pixels=MAX_PIXELS, max_video_duration_s=60)
        )
        assert len(frames) == len(expected)
        for frame, original in zip(frames, expected, strict=True):
            assert (frame.index, frame.time_s) == (original.index, original.time_s)
            assert np.array_equal(decode_frame(frame.encoded), original.pixels)
            assert frame.perceptual_hash == perceptual_hash(original.pixels)
            assert frame.quality == pytest.approx(measure_frame(original.pixels))
            assert frame.crop_hashes == crop_hashes(original.pixels) != b""


SEVERAL = [
    SPEC,
    PreprocessingSpec(size_px=24, jpeg_quality=90),
    PreprocessingSpec(size_px=16, colour="gray"),
    PreprocessingSpec(size_px=16, video_sample_interval_s=0.5),
    PreprocessingSpec(size_px=16, max_frames_per_video=1),
]


def test_frames_of_a_spec_are_the_same_whichever_others_are_asked_for(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    video = write_video(tmp_path / "video.mp4", [i / 5 for i in range(12)])
    for path, kind in ((picture, MediaKind.IMAGE), (video, MediaKind.VIDEO)):
        [together] = sandbox.decode_each([path], kind, SEVERAL)
        assert together.error is None
        for place, spec in enumerate(SEVERAL):
            alone = sandbox.decode(path, kind, spec)
            own = [frame for frame in together.frames if frame.spec == place]
            assert [replace(frame, spec=0) for frame in own] == alone
    counts = [sum(frame.spec == place for frame in together.frames) for place in range(5)]
    assert counts == [3, 3, 3, 5, 1]


def test_specs_that_see_the_same_pictures_share_a_decoding(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[float] = []
    real = images.decode_image

    def decode(data: bytes, needed_px: float, **given: Any) -> Any:
        decoded.append(needed_px)
        return real(data, needed_px, **given)

    monkeypatch.setattr(preprocessing, "decode_image", decode)
    limits = {"max_pixels": MAX_PIXELS, "max_video_duration_s": 60}
    frames = list(decode_for_each(picture, MediaKind.IMAGE, SEVERAL, **limits))
    assert sorted(place for place, _ in frames) == [0, 1, 2, 3, 4]
    assert sorted(decoded) == [16, 24]


def test_a_bad_file_has_its_own_error_and_costs_no_child(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    sandbox.decode(picture, MediaKind.IMAGE, SPEC)
    pid = child_pid(sandbox)
    empty, truncated, huge = tmp_path / "empty", tmp_path / "truncated", tmp_path / "huge"
    empty.touch()
    truncated.write_bytes(picture.read_bytes()[:-40])
    huge.write_bytes(png_header(40_000, 40_000))
    for path, error in (
        (empty, EmptyMediaError),
        (truncated, CorruptMediaError),
        (huge, TooManyPixelsError),
    ):
        with pytest.raises(error):
            sandbox.decode(path, MediaKind.IMAGE, SPEC)
    assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1
    assert child_pid(sandbox) == pid


@pytest.mark.parametrize("code", ["hole", "cut"])
def test_the_complaints_about_a_file_are_not_those_about_the_next(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path, code: str
) -> None:
    damaged = tmp_path / "damaged.tiff"
    whole = CASES["hole.lzw.tiff"].make()
    damaged.write_bytes(whole[: len(whole) // 2] if code == "cut" else whole)
    for _ in range(2):
        with pytest.raises(CorruptMediaError):
            sandbox.decode(damaged, MediaKind.IMAGE, SPEC)
        assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1


def test_running_out_of_memory_is_a_crash_of_that_file_only(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    path = tmp_path / "big.bmp"
    path.write_bytes(header_of_a_big_bitmap())
    with pytest.raises(DecoderCrashedError, match="MemoryError"):
        sandbox.decode(path, MediaKind.IMAGE, SPEC)
    assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1


def test_a_photograph_of_the_largest_cameras_fits_by_default(tmp_path: Path) -> None:
    """One of 60 megapixels, packed by TGA's runs: Pillow needs most memory of all decoders."""
    width, height, settings = 9_504, 6_336, Settings()
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, width, height, 24, 0)
    run = b"\xff\x20\x40\x60"  # 128 times the same colour, as blue, green, red
    row = run * (width // 128) + bytes([0x80 | (width % 128 - 1)]) + run[1:]
    path = tmp_path / "large.tga"
    path.write_bytes(head + row * height)
    with DecoderSandbox(
        timeout_s=60,
        memory_bytes=settings.decode_memory_bytes,
        max_pixels=settings.max_image_pixels,
        max_video_duration_s=60,
    ) as large:
        (frame,) = large.decode(path, MediaKind.IMAGE, SPEC)
    assert (decode_frame(frame.encoded) == (0x60, 0x40, 0x20)).all()


def test_a_hanging_file_is_given_up(tmp_path: Path, picture: Path) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    with DecoderSandbox(
        timeout_s=0.5, memory_bytes=MEMORY_BYTES, max_pixels=1_000, max_video_duration_s=60
    ) as sandbox:
        with pytest.raises(TooManyPixelsError):
            sandbox.decode(picture, MediaKind.IMAGE, SPEC)
        hung = child_pid(sandbox)
        with pytest.raises(DecoderCrashedError, match=r"ran past 0\.5 s"):
            sandbox.decode(endless, MediaKind.IMAGE, SPEC)
        assert not Path(f"/proc/{hung}").exists()


def test_a_killed_child_fails_one_file_and_is_replaced(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    sandbox.decode(picture, MediaKind.IMAGE, SPEC)
    pid = child_pid(sandbox)
    threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(DecoderCrashedError, match="exit status -9"):
        sandbox.decode(endless, MediaKind.IMAGE, SPEC)
    assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1
    assert child_pid(sandbox) != pid


def test_a_child_that_died_between_files_blames_none(
    sandbox: DecoderSandbox, picture: Path
) -> None:
    sandbox.decode(picture, MediaKind.IMAGE, SPEC)
    os.kill(child_pid(sandbox), signal.SIGKILL)
    assert sandbox._child is not None
    sandbox._child._process.wait()
    assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1


def test_the_child_has_limits_and_no_secrets(
    monkeypatch: pytest.MonkeyPatch, picture: Path
) -> None:
    monkeypatch.setenv("VISIONOPS_S3_SECRET_ACCESS_KEY", "hidden")
    with DecoderSandbox(
        timeout_s=20, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=60
    ) as sandbox:
        sandbox.decode(picture, MediaKind.IMAGE, SPEC)
        process = Path(f"/proc/{child_pid(sandbox)}")
        assert b"VISIONOPS" not in (process / "environ").read_bytes()
        rows = (process / "limits").read_text().splitlines()
        limits = {row[:25].strip(): row[25:].split()[:2] for row in rows}
    assert limits["Max address space"] == [str(MEMORY_BYTES)] * 2
    assert limits["Max open files"] == ["32", "32"]
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    # Twice the time of the clock, for two threads decode; and what it took to start.
    assert 40 < int(limits["Max cpu time"][0]) < 60
    assert not process.exists()


@pytest.mark.parametrize("module", ["no_such_module", "this"])
def test_a_child_that_cannot_start_blames_no_file(
    monkeypatch: pytest.MonkeyPatch, picture: Path, module: str
) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD_MODULE", module)
    with (
        DecoderSandbox(
            timeout_s=5, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=60
        ) as sandbox,
        pytest.raises(RuntimeError, match="does not start"),
    ):
        sandbox.decode(picture, MediaKind.IMAGE, SPEC)


@pytest.mark.parametrize("lengths", [(1 << 31, 0), (64 * 1024 + 1, 0), (10, 101)])
def test_a_message_that_is_too_long_is_not_read(lengths: tuple[int, int]) -> None:
    asked: list[int] = []

    def read_exactly(count: int) -> bytes:
        asked.append(count)
        return LENGTHS.pack(*lengths)

    with pytest.raises(ValueError, match="too long"):
        read_message(read_exactly, max_body_bytes=100)
    assert asked == [LENGTHS.size]


def test_the_longest_message_is_read() -> None:
    def read_exactly(count: int) -> bytes:
        asked.append(count)
        return LENGTHS.pack(64 * 1024, 100)

    asked: list[int] = []
    read_message(read_exactly, max_body_bytes=100)
    assert asked == [LENGTHS.size, 64 * 1024, 100]


def test_a_long_error_is_cut_and_keeps_its_code() -> None:
    replies = io.BytesIO()
    child._send_error(replies, "corrupt", "x" * 501)
    header, _ = read_message(io.BytesIO(replies.getvalue()).read, max_body_bytes=0)
    assert json.loads(header) == {
        "type": "error",
        "code": "corrupt",
        "message": "x" * 500,
        "milliseconds": 0.0,
    }


def test_files_of_one_request_have_results_of_their_own_and_cost_no_child(
    sandbox: DecoderSandbox, tmp_path: Path, picture: Path
) -> None:
    truncated, big = tmp_path / "truncated", tmp_path / "big.bmp"
    truncated.write_bytes(picture.read_bytes()[:-40])
    big.write_bytes(header_of_a_big_bitmap())
    [first] = sandbox.decode_each([picture], MediaKind.IMAGE, [SPEC])
    pid = child_pid(sandbox)
    results = sandbox.decode_each([picture, truncated, picture], MediaKind.IMAGE, [SPEC])
    assert [len(each.frames) for each in results] == [1, 0, 1]
    assert [type(each.error) for each in results] == [type(None), CorruptMediaError, type(None)]
    assert results[2].frames == first.frames
    assert all(each.milliseconds > 0 for each in (first, *results))
    assert child_pid(sandbox) == pid
    results = sandbox.decode_each([picture, big, picture, truncated], MediaKind.IMAGE, [SPEC])
    assert [each.error and each.error.code for each in results] == [
        None,
        "decoder_crashed",
        None,
        "corrupt",
    ]
    assert results[0].frames == results[2].frames == first.frames
    assert child_pid(sandbox) != pid


def test_each_file_of_a_request_has_the_whole_time(tmp_path: Path, picture: Path) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    with DecoderSandbox(
        timeout_s=2, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=60
    ) as sandbox:
        sandbox.decode(picture, MediaKind.IMAGE, SPEC)
        paths = [endless, picture, endless, picture]
        results = sandbox.decode_each(paths, MediaKind.IMAGE, [SPEC])
    assert [len(each.frames) for each in results] == [0, 1, 0, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_decoder_of_many_videos_keeps_nothing_of_them(tmp_path: Path, threads: int) -> None:
    """Each would keep its threads, whose stacks and heaps take address space."""
    path = write_video(tmp_path / "v.mp4", [i / 10 for i in range(24)], codec="libx264")
    with DecoderSandbox(
        timeout_s=20,
        memory_bytes=MEMORY_BYTES,
        max_pixels=MAX_PIXELS,
        max_video_duration_s=60,
        threads=threads,
    ) as sandbox:
        sandbox.decode(path, MediaKind.VIDEO, SPEC)
        before = address_space_kb(child_pid(sandbox))
        results = sandbox.decode_each([path] * 40, MediaKind.VIDEO, [SPEC])
        grown_kb = address_space_kb(child_pid(sandbox)) - before
    assert {(result.error, len(result.frames)) for result in results} == {(None, 3)}
    assert grown_kb < 150_000


def address_space_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmSize:")[2].split()[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_child_cannot_send_a_time_that_is_no_number(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        DoneReply(milliseconds=value)
    with pytest.raises(ValidationError, match="finite"):
        ErrorReply(code="corrupt", message="", milliseconds=value)
    with pytest.raises(ValidationError, match="finite"):
        VideoFacts(width=1, height=1, duration_s=value, codec="h264", container="mp4")
