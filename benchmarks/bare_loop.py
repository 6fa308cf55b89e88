"""The limit of serving: decode and onnxruntime in a loop, one process per core, with no server."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from visionops_assets.contracts import ModelCard
from visionops_assets.vision.preprocessing import preprocess_image, to_network_input

MAX_PIXELS = 50_000_000
CORES = len(os.sched_getaffinity(0))


def open_session(onnx_path: Path) -> ort.InferenceSession:
    """Open a session as the served pipeline does: one thread, which does not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


class _Worker:
    """The model and the images of one process of the pool."""

    session: ort.InferenceSession
    card: ModelCard
    image: bytes


def _begin(folder: Path, image: bytes) -> None:
    cv2.setNumThreads(1)
    _Worker.session = open_session(folder / "model.onnx")
    _Worker.card = ModelCard.model_validate_json((folder / "model.json").read_bytes())
    _Worker.image = image


def _classify(work: tuple[int, int]) -> int:
    """Classify the image `count` times, `batch_size` at once."""
    count, batch_size = work
    for _ in range(0, count, batch_size):
        frames = [
            preprocess_image(_Worker.image, _Worker.card.spec, max_pixels=MAX_PIXELS)
            for _ in range(batch_size)
        ]
        inputs = {"images": to_network_input(np.stack(frames), _Worker.card)}
        _Worker.session.run(["probabilities", "embedding"], inputs)
    return count


class BareLoop:
    """Classifies one encoded image again and again, on as many cores as requests are in flight."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __call__(self, count: int, in_flight: int) -> int:
        """Classify it `count` times, `in_flight` at once; return how many times that was."""
        workers = min(CORES, in_flight)
        work = (count // workers, max(1, in_flight // workers))
        return sum(self._pool.map(_classify, [work] * workers, chunksize=1))


@contextmanager
def bare_loop(folder: Path, image: bytes) -> Iterator[BareLoop]:
    """Run the processes for the length of the block."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(CORES, _begin, (folder, image)) as pool:
        yield BareLoop(pool)
