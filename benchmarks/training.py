"""Images a second of a training that reads its frames; the limit is arrays in memory.

Needs the object store of the running stack. The network and all else of the training are the same.
A set that is mixed by windows of blocks is measured beside one that is drawn from as whole.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

from benchmarks.measure import Figure, Question, figure
from benchmarks.photographs import photographs
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.resources.frame_images import FrameImages
from visionops_assets.resources.frame_reading import FrameReader
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import shard_key
from visionops_assets.settings import Settings, usable_cores
from visionops_assets.tasks.running import lesson_of
from visionops_assets.vision import reading_order
from visionops_assets.vision.places import Places
from visionops_assets.vision.preprocessing import decode_frame, encode_frame
from visionops_assets.vision.recipe import TrainingConfig
from visionops_assets.vision.selection import Images
from visionops_assets.vision.shards import digest_of, pack
from visionops_assets.vision.training import train

LIMIT = "the same training with its frames in memory"
PER_SHARD = 500
DIFFERENT = 250
REPEATS = 3
SPEC_ID = "benchmark-of-training"
SETS = {224: 3_000, 32: 12_000}
"""Frames by their size in pixels."""
WINDOW_BYTES = 192 * 1024**2
"""Of the set of 224 px, so that it is large."""


def measure(settings: Settings) -> list[Figure]:
    """Measure the first pass over frames of the object store, and a later one."""
    del settings  # The object store reads them.
    figures: list[Figure] = []
    for size_px, count in SETS.items():
        with _stored(size_px, count) as (store, places, pixels):
            figures += _measured(store, places, pixels, size_px)
    return figures


def _measured(
    store: ObjectStore, places: Places, pixels: np.ndarray, size_px: int
) -> Iterator[Figure]:
    first: list[tuple[float, float]] = []
    later: list[tuple[float, float]] = []
    for _ in range(1 + REPEATS):
        images = _opened(store, places, size_px)
        rate_first, rate_later = (_rate_hz(images, size_px) for _ in range(2))
        limit = _rate_hz(pixels, size_px)
        first.append((rate_first, limit))
        later.append((rate_later, limit))
        del images
    frames = f"{len(pixels):,} frames of {size_px} px"
    yield figure(Question(f"{frames}, first pass", "images/s", LIMIT, 0.8), first[1:])
    yield figure(Question(f"{frames}, later passes", "images/s", LIMIT, 0.9), later[1:])


def _opened(store: ObjectStore, places: Places, size_px: int) -> FrameImages:
    ids = [str(row) for row in range(len(places.shard))]
    return FrameImages(FrameReader(store, _Still(places), ids, places).read, len(ids), size_px)


class _Still:
    """A catalog whose frames lie where they lay."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def find(self, frame_ids: Sequence[str]) -> Places:
        return self._places[np.array([int(each) for each in frame_ids])]

    def have_made_again(self, damaged: Mapping[str, str]) -> int:
        raise AssertionError(damaged)


def _rate_hz(images: Images, size_px: int) -> float:
    """Train for about one pass; return the images a second that were trained and validated on."""
    count = len(images)
    config = TrainingConfig(steps=count // 64, threads=usable_cores())
    done: list[int] = []
    started_s = time.perf_counter()
    trained = train(
        lesson_of("classification"),
        images,
        np.arange(count) % 4,
        [str(row // 10) for row in range(count)],
        classes=("a", "b", "c", "d"),
        spec=PreprocessingSpec(size_px=size_px),
        snapshot_id="benchmark",
        config=config,
        on_round=lambda reached: done.append(reached.step),
    )
    seconds = time.perf_counter() - started_s
    return trained.budget.batch_size * done[-1] / seconds


@contextmanager
def _stored(size_px: int, count: int) -> Iterator[tuple[ObjectStore, Places, np.ndarray]]:
    """Write frames as shards, and have them in memory; the shards are removed at the end."""
    store, written = ObjectStore(), list[str]()
    large = [decode_frame(data) for data in photographs()]
    rng = np.random.default_rng(0)
    cut = [_cut(large[int(rng.integers(len(large)))], size_px, rng) for _ in range(DIFFERENT)]
    encoded = [encode_frame(image) for image in cut]
    chosen = rng.integers(DIFFERENT, size=count)
    places, window = Places.nowhere(count), reading_order.WINDOW_BYTES
    if size_px > min(SETS):
        reading_order.WINDOW_BYTES = WINDOW_BYTES
    try:
        for start in range(0, count, PER_SHARD):
            rows = range(start, min(start + PER_SHARD, count))
            data, entries = pack((f"{row}.png", encoded[chosen[row]]) for row in rows)
            key = shard_key(SPEC_ID, f"{size_px}-{start}", data)
            store.put(key, data)
            written.append(key)
            places.shards.append(key)
            for row, entry in zip(rows, entries, strict=True):
                places.shard[row] = len(places.shards) - 1
                places.offset[row], places.length[row] = entry.offset, entry.length
                places.content_hash[row] = digest_of(encoded[chosen[row]])
        yield store, places, np.stack([cut[each] for each in chosen])
    finally:
        reading_order.WINDOW_BYTES = window
        for key in written:
            store.delete(key)


def _cut(image: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a square out of a photograph, anywhere and of any size."""
    side = int(rng.integers(size_px, 900))
    top, left = (int(rng.integers(0, edge - side + 1)) for edge in image.shape[:2])
    square = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA))
