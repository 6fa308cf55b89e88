"""Frames a second through the sandboxed decoder; the limit is the same work without a sandbox.

Needs no running stack. A frame counts once it is decoded, preprocessed, hashed and encoded as PNG.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from benchmarks.measure import Figure, Question, compare, rate_hz
from benchmarks.photographs import photographs
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.demo.media import digits, videos
from visionops_assets.settings import Settings
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.preprocessing import encode_frame, perceptual_hash
from visionops_assets.vision.sandbox.decoder import DecoderSandbox

DIGITS = 600
PHOTOGRAPH_ROUNDS = 12
VIDEO_ROUNDS = 3
LIMIT_NAME = "the same preprocessing in-process"


@dataclass(frozen=True)
class Files:
    """The files that one measurement decodes, one after the other."""

    paths: Sequence[Path]
    kind: MediaKind
    spec: PreprocessingSpec
    max_pixels: int
    max_video_duration_s: float


def measure(settings: Settings) -> list[Figure]:
    """Measure small images, large ones, and a video."""
    questions = (
        Question("8x8 PNG digits", "frames/s", LIMIT_NAME, goal=0.7),
        Question("1280x960 JPEG photographs", "frames/s", LIMIT_NAME, goal=0.9),
        Question("640x272 video", "frames/s", LIMIT_NAME, goal=0.9),
    )
    sandbox = DecoderSandbox(
        timeout_s=settings.decode_timeout_s,
        memory_bytes=settings.decode_memory_bytes,
        max_pixels=settings.max_image_pixels,
        max_video_duration_s=settings.max_video_duration_s,
    )
    with tempfile.TemporaryDirectory(prefix="visionops-") as folder, sandbox, _one_opencv_thread():
        return [
            compare(
                question,
                ours=partial(rate_hz, partial(_decode_sandboxed, sandbox, files)),
                limit=partial(rate_hz, partial(_decode_in_process, files)),
            )
            for question, files in zip(questions, _inputs(Path(folder), settings), strict=True)
        ]


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Give OpenCV one thread in this process, as it has in the sandbox."""
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads_before)


def _inputs(folder: Path, settings: Settings) -> Iterator[Files]:
    """Write the files that the three questions ask about."""
    limits = settings.spec, settings.max_image_pixels, settings.max_video_duration_s
    uploaded, _ = digits()
    small = _write(folder, "digit", [file.data for file in uploaded[:DIGITS]])
    yield Files(small, MediaKind.IMAGE, *limits)
    large = _write(folder, "photograph", photographs())
    yield Files(large * PHOTOGRAPH_ROUNDS, MediaKind.IMAGE, *limits)
    clips = _write(folder, "video", [file.data for file in videos()])
    yield Files(clips * VIDEO_ROUNDS, MediaKind.VIDEO, *limits)


def _write(folder: Path, name: str, contents: Sequence[bytes]) -> list[Path]:
    paths = [folder / f"{name}-{index:04d}" for index in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


def _decode_sandboxed(sandbox: DecoderSandbox, files: Files) -> int:
    return sum(len(sandbox.decode(path, files.kind, files.spec)) for path in files.paths)


def _decode_in_process(files: Files) -> int:
    """Do what the sandbox's child does, without the limits and the pipe."""
    count = 0
    for path in files.paths:
        for frame in decode_media(
            path,
            files.kind,
            files.spec,
            max_pixels=files.max_pixels,
            max_video_duration_s=files.max_video_duration_s,
        ):
            perceptual_hash(frame.pixels)
            encode_frame(frame.pixels)
            count += 1
    return count
