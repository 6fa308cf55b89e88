"""Golden images, to which every artifact of a model must give the same answers.

They are the first holdout images of the model's own snapshot, so they are real and never change.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import NETWORK_INPUT
from visionops_assets.errors import ReleaseError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import serving

logger = logging.getLogger(__name__)
MAX_IMAGES = 64


@dataclass(frozen=True)
class GoldenSet:
    """Encoded images, and the exported model's answers to them; of these the labels are kept."""

    images: tuple[bytes, ...]
    answers: tuple[Answer, ...]
    task: str


def golden_images(object_store: ObjectStore, snapshot_id: str) -> npt.NDArray[np.uint8]:
    """Read the golden images of a snapshot: uint8 of shape (N, S, S, 3), RGB, N <= 64.

    Raises:
        ReleaseError: the snapshot has no holdout.
    """
    # Slow to import.
    from visionops_assets.resources.snapshot_files import HOLDOUT  # noqa: PLC0415
    from visionops_assets.resources.snapshot_reading import (  # noqa: PLC0415
        SnapshotFiles,
        of_side,
        on_whole_frames,
    )

    def read(holdout: SnapshotFiles) -> npt.NDArray[np.uint8]:
        return np.asarray(holdout.images[:MAX_IMAGES])

    places = FramePlaces(Catalog())
    images = on_whole_frames(
        object_store, snapshot_id, places, read, logger.warning, of_side(HOLDOUT)
    )
    if not len(images):
        raise ReleaseError(f"Snapshot {snapshot_id} has no holdout images to compare with.")
    return images


def golden_set(images: npt.NDArray[np.uint8], onnx_model: bytes, card: ModelCard) -> GoldenSet:
    """Encode golden images without loss, and let an ONNX model answer them.

    Raises:
        ReleaseError: the ONNX model does not run.
    """
    from visionops_assets.vision.preprocessing import (  # noqa: PLC0415 - slow to import
        encode_frame,
        to_network_input,
    )

    inputs = {NETWORK_INPUT.name: to_network_input(images, card)}
    task = serving(card.task)
    names = [output.name for output in task.network]
    # ONNX Runtime's errors have no base of their own.
    try:
        session = ort.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
        outputs = dict(zip(names, session.run(names, inputs), strict=True))
    except Exception as error:
        raise ReleaseError(f"The exported ONNX model does not run: {error}") from error
    return GoldenSet(
        images=tuple(encode_frame(image) for image in images),
        answers=tuple(Answer(answer.labels) for answer in task.decode(outputs, card)),
        task=card.task,
    )
