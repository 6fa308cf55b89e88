"""The steps of the served pipeline: preprocess, run the network, and give each answer its identity.

The fused model (`model.py`) runs all three in one process, which costs 30-44 % less on CPUs than an
ensemble. On GPUs `preprocess.py` and `record.py` run the first and the last around TensorRT. The
version folder holds `model.json` (a `contracts.ModelCard`) and this code.
"""

import hashlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import triton_python_backend_utils as pb_utils
from asked import Wishes
from recorder import Answered, Recorder, Tally, connect, image_to_keep, is_sampled
from served import ServedModel

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.contracts.tensors import (
    EMBEDDING,
    MODEL_VERSION,
    NETWORK_EMBEDDING,
    NETWORK_INPUT,
    PREDICTION_ID,
    SNAPSHOT_ID,
)
from visionops_assets.errors import DecoderCrashedError, EmptyMediaError, TooLargeError
from visionops_assets.settings import Settings, load_settings
from visionops_assets.tasks.base import Outputs
from visionops_assets.tasks.registry import serving
from visionops_assets.tasks.signature import network_outputs
from visionops_assets.vision.monitoring.quality import measure_quality
from visionops_assets.vision.preprocessing import Frame, preprocess_image, to_network_input

Floats = npt.NDArray[np.float32]
WARM_UP_SIZES = (1, 8)
SPECS_KEPT = 256
"""Sources whose filters are remembered: there are as many as cameras and partners."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """The network's output for N images, one row per image.

    `outputs` has the network's by their names, and `quality` is that of the frames
    (N, 4), in the order of `QUALITY_MEASURES`.
    """

    outputs: Outputs
    quality: Floats


class Preprocessor:
    """Step 1: encoded images to frames, by the function that made the training frames."""

    def __init__(self, card: ModelCard, settings: Settings) -> None:
        self._spec_of = lru_cache(SPECS_KEPT)(card.spec.for_source)
        self._max_pixels = settings.max_predicted_image_pixels
        self._max_bytes = settings.max_predicted_image_bytes
        # Other instances have the other cores.
        cv2.setNumThreads(1)
        _limit_memory(settings.decode_memory_bytes)

    def __call__(self, images: list[bytes], source: str) -> Frame:
        """Return frames of shape (N, S, S, 3), RGB, with the filters that hold for a source.

        Raises:
            MediaError: an image is too large or cannot be decoded.
        """
        if not images:
            raise EmptyMediaError("The request has no image.")
        spec = self._spec_of(source)
        return np.stack([self._frame(image, spec) for image in images])

    def _frame(self, image: bytes, spec: PreprocessingSpec) -> Frame:
        if len(image) > self._max_bytes:
            raise TooLargeError(f"The image has more than {self._max_bytes:,} bytes.")
        try:
            return preprocess_image(image, spec, max_pixels=self._max_pixels)
        except MemoryError:
            raise DecoderCrashedError("The image takes more memory than it may.") from None


def quality_of(frames: Frame) -> Floats:
    """Measure frames (N, S, S, 3): (N, 4), in the order of `QUALITY_MEASURES`."""
    return np.array([measure_quality(frame) for frame in frames], np.float32)


def open_session(onnx_path: Path) -> ort.InferenceSession:
    """Open a network on one thread: other instances have the other cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A spinning thread takes the core that another instance needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


class Network:
    """Step 2: frames to the outputs of the network, by ONNX Runtime."""

    def __init__(self, card: ModelCard, onnx_path: Path) -> None:
        self._card = card
        self._outputs = [output.name for output in network_outputs(card.task)]
        self._session = open_session(onnx_path)
        for size in WARM_UP_SIZES:
            self(np.zeros((size, card.spec.size_px, card.spec.size_px, 3), np.uint8))

    def __call__(self, frames: Frame) -> Outputs:
        """Return the network's outputs for frames (N, S, S, 3), each with N rows."""
        inputs = {NETWORK_INPUT.name: to_network_input(frames, self._card)}
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))


class Observer:
    """Step 3: gives each answer an id, hands it to the recorder, and builds the response."""

    def __init__(self, served: ServedModel, settings: Settings) -> None:
        self._served = served
        self._serving = serving(served.card.task)
        self._sample_rate = settings.prediction_image_sample_rate
        self._snapshot_id = served.card.snapshot_id.encode()
        self._recorder = Recorder(
            lambda: connect(settings),
            settings.kafka_predictions_topic,
            Tally(served.name, served.version, served.role).add,
        )

    def respond(
        self,
        request: Any,
        wishes: Wishes,
        images: list[bytes],
        inferred: Inferred,
        started_s: float,
    ) -> Any:
        """Return the response to one request, from the network's output for its images.

        `started_s`, of `time.time()`, is when the work on it began.
        """
        ids = [uuid4() for _ in images]
        # Rehearsals and comparisons are not predictions for a client.
        if wishes.record:
            self._record(ids, images, inferred, started_s, wishes.keep_image)
        rows = len(images)
        tensors: dict[str, Callable[[], npt.NDArray[Any]]] = {
            **self._serving.tensors(inferred.outputs, self._served.card),
            EMBEDDING.name: lambda: inferred.outputs[NETWORK_EMBEDDING.name],
            PREDICTION_ID.name: lambda: np.array([[str(i).encode()] for i in ids], np.object_),
            MODEL_VERSION.name: lambda: np.full((rows, 1), self._served.version, np.int64),
            SNAPSHOT_ID.name: lambda: np.full((rows, 1), self._snapshot_id, np.object_),
        }
        # Only the tensors asked for: each costs a copy into shared memory.
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, tensors[name]()) for name in tensors if name in wanted]
        )

    def _record(
        self,
        ids: list[UUID],
        images: list[bytes],
        inferred: Inferred,
        started_s: float,
        keep_images: bool,
    ) -> None:
        answered_s = time.time()
        for row, prediction_id in enumerate(ids):
            is_kept = keep_images or is_sampled(prediction_id, self._sample_rate)
            self._recorder.record(
                Answered(
                    self._served,
                    prediction_id,
                    answered_s,
                    (answered_s - started_s) * 1000,
                    {name: rows[row : row + 1] for name, rows in inferred.outputs.items()},
                    inferred.quality[row],
                    hashlib.sha256(images[row]).hexdigest(),
                    image_to_keep(images[row]) if is_kept else None,
                )
            )

    def close(self) -> None:
        """Publish the buffered predictions."""
        self._recorder.close()


def settings_of_server() -> Settings:
    """Return the settings; Triton's environment holds them."""
    return load_settings()


def _limit_memory(decoder_bytes: int) -> None:
    """Let this process grow by one decoder's memory limit, so that a hostile image fails alone.

    Shared memory, which holds Triton's tensors, does not count.
    """
    used_bytes = 1024 * int(
        next(
            line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmData")
        )
    )
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used_bytes + decoder_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
