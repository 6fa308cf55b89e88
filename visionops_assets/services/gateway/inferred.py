"""Triton's answer to one image, read from its message."""

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from visionops_assets.contracts.tensors import (
    MODEL_VERSION,
    PREDICTION_ID,
    SNAPSHOT_ID,
    TensorSpec,
)
from visionops_assets.tasks.base import Answer, Serving

_LENGTH = struct.Struct("<I")
_VERSION = struct.Struct("<q")


@dataclass(frozen=True)
class Inference:
    """Triton's answer to one image; its probabilities are in the order of `classes`.

    `tensors` are the contents of all outputs that were asked for, by name, as Triton sent them.
    """

    answer: Answer
    classes: tuple[str, ...]
    prediction_id: UUID
    model_version: int
    snapshot_id: str
    tensors: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def tensors_of(answer: Any) -> dict[str, bytes]:
    """Return the contents of an answer's tensors by their names."""
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {described.name: content for described, content in pairs}


def version_of(tensors: Mapping[str, bytes]) -> int:
    """Return the version that answered."""
    (version,) = _VERSION.unpack(tensors[MODEL_VERSION.name])
    return int(version)


def inference_of(
    serving: Serving, tensors: Mapping[str, bytes], classes: tuple[str, ...]
) -> Inference:
    """Read the tensors of a task's model, whose classes these are."""
    return Inference(
        answer=serving.read(
            {spec.name: _value(tensors[spec.name], spec) for spec in serving.answers}
        ),
        classes=classes,
        prediction_id=UUID(_text(tensors[PREDICTION_ID.name])),
        model_version=version_of(tensors),
        snapshot_id=_text(tensors[SNAPSHOT_ID.name]),
        tensors=tensors,
    )


def _value(content: bytes, spec: TensorSpec) -> str | Sequence[float]:
    """Read a tensor for one image: text, or numbers."""
    return _text(content) if spec.datatype == "BYTES" else array("f", content)


def _text(content: bytes) -> str:
    """Read a TYPE_STRING tensor of one element: its length, then itself."""
    return content[_LENGTH.size :].decode()
