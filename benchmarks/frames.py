"""Frames a second through the sandboxed decoders; the limit is the same work without sandboxes.

Videos have a second limit: FFmpeg's decoder alone, by PyAV. All use all cores.

Needs no running stack. A frame counts once it is decoded, preprocessed, hashed and encoded as PNG.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from uuid import uuid4

import av
import cv2
import numpy as np

from benchmarks.measure import Figure, Question, compare, rate_hz
from benchmarks.photographs import photographs
from tests.declared import model_of
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.demo.media import digits, videos
from visionops_assets.settings import Settings, usable_cores
from visionops_assets.stages.frames.decoding import Decoders, grouped
from visionops_assets.stages.frames.fetching import Fetched, StoredFile
from visionops_assets.vision.crop_hashes import crop_hashes
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.monitoring.quality import measure_frame
from visionops_assets.vision.preprocessing import encode_frame, perceptual_hash

DIGITS = 600
PHOTOGRAPH_ROUNDS = 12
VIDEO_ROUNDS = 3
LIMIT_NAME = "the same preprocessing without sandbox, on all cores"


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
    cores = usable_cores()
    with (
        tempfile.TemporaryDirectory(prefix="visionops-") as folder,
        Decoders(settings, cores) as decoders,
        _one_opencv_thread(),
        get_context("fork").Pool(cores) as pool,
    ):
        *_, clips = inputs = list(_inputs(Path(folder), settings))
        full_hd = replace(inputs[1], paths=_full_hd(Path(folder)) * PHOTOGRAPH_ROUNDS)
        figures = [
            compare(
                question,
                ours=partial(rate_hz, partial(_decode_sandboxed, decoders, files)),
                limit=partial(rate_hz, partial(_decode_bare, pool, files)),
            )
            for question, files in zip(questions, inputs, strict=True)
        ]
        figures += _beside_one_decoder(settings, decoders, inputs[:2])
        figures.append(_beside_full_decode(decoders, pool, full_hd))
        return [*figures, _beside_null_decode(decoders, pool, clips, cores)]


def _beside_one_decoder(
    settings: Settings, decoders: Decoders, images: Sequence[Files]
) -> Iterator[Figure]:
    """Compare with a batch that has one decoder, as before there was one per core."""
    names = ("8x8 PNG digits, a decoder per core", "1280x960 JPEG photographs, the same")
    with Decoders(settings, 1) as one:
        for name, files in zip(names, images, strict=True):
            yield compare(
                Question(name, "frames/s", "one decoder", goal=1.7),
                ours=partial(rate_hz, partial(_decode_sandboxed, decoders, files)),
                limit=partial(rate_hz, partial(_decode_sandboxed, one, files)),
            )


def _beside_full_decode(decoders: Decoders, pool: Pool, images: Files) -> Figure:
    """Compare with decoding every pixel of a photograph, and shrinking it by area."""
    size_px = images.spec.size_px
    shrink = partial(_decode_whole, size_px=size_px)
    question = Question("1920x1080 JPEG photographs", "frames/s", "full decode, INTER_AREA", 2.5)
    return compare(
        question,
        ours=partial(rate_hz, partial(_decode_sandboxed, decoders, images)),
        limit=partial(rate_hz, lambda: len(pool.map(shrink, images.paths))),
    )


def _decode_whole(path: Path, size_px: int) -> None:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_AREA)


def _beside_null_decode(decoders: Decoders, pool: Pool, videos: Files, cores: int) -> Figure:
    """Compare with decoders whose pictures nobody looks at, one video per core at a time."""
    each_core_alike = replace(videos, paths=list(videos.paths) * cores)

    def ours() -> int:
        _decode_sandboxed(decoders, each_core_alike)
        return len(each_core_alike.paths)

    def limit() -> int:
        return len(pool.map(_decode_null, each_core_alike.paths, chunksize=1))

    question = Question("640x272 video to frames", "videos/s", "PyAV's null decode", goal=0.8)
    return compare(question, ours=partial(rate_hz, ours), limit=partial(rate_hz, limit))


def _decode_null(path: Path) -> int:
    """Decode every picture of a video, and nothing else."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


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
    limits = model_of(settings).frames, settings.max_image_pixels, settings.max_video_duration_s
    uploaded, _ = digits()
    small = _write(folder, "digit", [file.data for file in uploaded[:DIGITS]])
    yield Files(small, MediaKind.IMAGE, *limits)
    large = _write(folder, "photograph", photographs())
    yield Files(large * PHOTOGRAPH_ROUNDS, MediaKind.IMAGE, *limits)
    clips = _write(folder, "video", [file.data for file in videos()])
    yield Files(clips * VIDEO_ROUNDS, MediaKind.VIDEO, *limits)


def _full_hd(folder: Path) -> list[Path]:
    """Write the photographs in the size of Full HD."""
    return _write(folder, "full-hd", [_scaled(data, (1920, 1080)) for data in photographs()])


def _scaled(data: bytes, size: tuple[int, int]) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    _, encoded = cv2.imencode(".jpg", cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))
    return encoded.tobytes()


def _write(folder: Path, name: str, contents: Sequence[bytes]) -> list[Path]:
    paths = [folder / f"{name}-{index:04d}" for index in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


def _decode_sandboxed(decoders: Decoders, files: Files) -> int:
    fetched = [
        Fetched(StoredFile(str(uuid4()), "", "", path.stat().st_size, files.kind, ""), path, None)
        for path in files.paths
    ]
    return sum(len(frames) for _, frames in decoders.decode(grouped(fetched, [files.spec])))


def _decode_bare(pool: Pool, files: Files) -> int:
    cores = usable_cores()
    parts = [replace(files, paths=files.paths[core::cores]) for core in range(cores)]
    return sum(pool.map(_decode_in_process, parts))


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
            measure_frame(frame.pixels)
            crop_hashes(frame.pixels)
            encode_frame(frame.pixels)
            count += 1
    return count
