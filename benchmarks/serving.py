"""Predictions a second of the served model over gRPC; the limit is a bare loop in one process.

Needs a running stack with a released model. Nothing is recorded. The loop decodes with the same
function and runs the same ONNX file, with a thread and a session a core, on as many images at once
as are in flight over gRPC: it has no server, no wire and no identity of a prediction.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnxruntime as ort

from benchmarks.measure import Figure, Question, compare, rate_hz
from benchmarks.photographs import photographs
from visionops_assets.contracts import ModelCard
from visionops_assets.demo.media import digits
from visionops_assets.errors import NoModelServedError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import CONCURRENT_REQUESTS, TritonServer
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import preprocess_image, to_network_input

DIGITS = 600
PHOTOGRAPH_ROUNDS = 20
LIMIT_NAME = "a bare decode and onnxruntime loop, all cores"


class BareLoop:
    """Decodes and classifies in this process, on every core."""

    def __init__(self, onnx: bytes, card: ModelCard, max_pixels: int) -> None:
        cores = len(os.sched_getaffinity(0))
        self._sessions = [_session(onnx) for _ in range(cores)]
        self._card = card
        self._max_pixels = max_pixels

    def __call__(self, images: Sequence[bytes]) -> int:
        """Classify encoded images; return how many."""
        cores = len(self._sessions)
        shares = [images[core::cores] for core in range(cores)]
        with ThreadPoolExecutor(cores) as pool:
            return sum(pool.map(self._classify, self._sessions, shares))

    def _classify(self, session: ort.InferenceSession, images: Sequence[bytes]) -> int:
        batch_size = max(1, CONCURRENT_REQUESTS // len(self._sessions))
        for start in range(0, len(images), batch_size):
            frames = [
                preprocess_image(image, self._card.spec, max_pixels=self._max_pixels)
                for image in images[start : start + batch_size]
            ]
            inputs = {"images": to_network_input(np.stack(frames), self._card)}
            session.run(["probabilities", "embedding"], inputs)
        return len(images)


def measure(settings: Settings) -> list[Figure]:
    """Measure small images, whose cost is the way there, and large ones, whose cost is the work.

    Raises:
        ServerUnreachableError: Triton or the object store does not answer.
        NoModelServedError: no model was released yet.
    """
    triton = TritonServer()
    bare_loop = _bare_loop_of_the_served_model(triton, settings)
    uploaded, _ = digits()
    inputs = {
        f"8x8 PNG digits, {CONCURRENT_REQUESTS} in flight": [
            file.data for file in uploaded[:DIGITS]
        ],
        f"1280x960 JPEG photographs, {CONCURRENT_REQUESTS} in flight": photographs()
        * PHOTOGRAPH_ROUNDS,
    }
    return [
        compare(
            Question(name, "predictions/s", LIMIT_NAME, goal=0.85),
            ours=partial(rate_hz, partial(_predict, triton, settings.model_name, images)),
            limit=partial(rate_hz, partial(bare_loop, images)),
        )
        for name, images in inputs.items()
    ]


def _predict(triton: TritonServer, model: str, images: Sequence[bytes]) -> int:
    return len(triton.predict(model, images, record=False))


def _bare_loop_of_the_served_model(triton: TritonServer, settings: Settings) -> BareLoop:
    version = triton.served_version(settings.model_name)
    if version is None:
        raise NoModelServedError("Triton serves no model yet. Release one with `visionops demo`.")
    store = ObjectStore()
    prefix = f"exports/{settings.model_name}/{version}"
    card = ModelCard.model_validate_json(store.get(f"{prefix}/model.json"))
    return BareLoop(store.get(f"{prefix}/model.onnx"), card, settings.max_image_pixels)


def _session(onnx: bytes) -> ort.InferenceSession:
    """Open a session as the served pipeline does: one thread, which does not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
