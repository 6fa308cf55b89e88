"""The protocol of the served pipeline (`triton_models/classifier`): its input, and its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from tritonclient.grpc import InferInput

from visionops_assets.contracts.tensors import (
    EMBEDDING,
    IMAGE,
    MODEL_VERSION,
    PREDICTION_ID,
    SNAPSHOT_ID,
    TensorSpec,
)
from visionops_assets.errors import NoModelServedError
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import serving
from visionops_assets.tasks.signature import served_outputs


@dataclass(frozen=True)
class ServedAnswer:
    """The served pipeline's answer to one image, and its identity."""

    answer: Answer
    embedding: tuple[float, ...]
    prediction_id: UUID
    model_version: int
    snapshot_id: str

    @property
    def label(self) -> str:
        """Return the answer's labels as one text."""
        return self.answer.label

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Return one value per class, in the order of the model card's classes."""
        return self.answer.probabilities


def image_input(image: bytes) -> InferInput:
    """Wrap one encoded image as the pipeline's `IMAGE` input, a batch of one."""
    tensor = InferInput(IMAGE.name, [1, 1], IMAGE.datatype)
    tensor.set_data_from_numpy(np.array([[image]], dtype=np.object_))
    return tensor


def read_answer(output: Callable[[str], Any], task: str) -> ServedAnswer:
    """Read the outputs of a task's pipeline for a batch of one; `output` gives an array by name.

    Raises:
        NoModelServedError: the model was released before its pipeline had all of them.
    """
    if output(SNAPSHOT_ID.name) is None:
        raise NoModelServedError(
            "The served model was released by an earlier version of VisionOps. Export and "
            "release it again, or train a new one."
        )
    specs = served_outputs(task)
    row = {spec.name: _value(output(spec.name)[0], spec) for spec in specs}
    return ServedAnswer(
        answer=serving(task).read(row),
        embedding=tuple(row[EMBEDDING.name]),
        prediction_id=UUID(row[PREDICTION_ID.name]),
        model_version=row[MODEL_VERSION.name][0],
        snapshot_id=row[SNAPSHOT_ID.name],
    )


def _value(found: Any, spec: TensorSpec) -> Any:
    """Return a tensor's row for one image: text, or a list of numbers."""
    return found[0].decode() if spec.datatype == "BYTES" else found.tolist()
