"""The tensors of models: their names, types and shapes, said once.

Here are those of every model. Those of a task belong to the task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Datatype = Literal["BYTES", "FP32", "INT64"]
"""KServe's names of types; BYTES is text, or any bytes."""
_NUMPY_NAMES: Mapping[str, str] = {"BYTES": "bytes", "FP32": "float32", "INT64": "int64"}
CLASSES, EMBEDDING_SIZE, SIDE_PX = "classes", "embedding_size", "side_px"
"""Dimensions whose size depends on the model; `ModelCard.sizes` has them."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: its name, type, and shape for one image.

    A dimension is a number, or the name of one that depends on the model.
    """

    name: str
    datatype: Datatype
    shape: tuple[int | str, ...] = (1,)

    def sized(self, sizes: Mapping[str, int]) -> "TensorSpec":
        """Return the tensor of a model, with numbers for all dimensions."""
        shape = tuple(sizes[size] if isinstance(size, str) else size for size in self.shape)
        return replace(self, shape=shape)

    @property
    def dims(self) -> tuple[int, ...]:
        """Return the shape, if all of its dimensions are numbers.

        Raises:
            ValueError: one is not.
        """
        return tuple(int(size) for size in self.shape)

    @property
    def config_type(self) -> str:
        """Return the type as Triton's configurations name it."""
        return "TYPE_STRING" if self.datatype == "BYTES" else f"TYPE_{self.datatype}"

    @property
    def numpy_name(self) -> str:
        """Return the type as NumPy names it."""
        return _NUMPY_NAMES[self.datatype]


NETWORK_INPUT = TensorSpec("images", "FP32", (3, SIDE_PX, SIDE_PX))
"""The input of every network: normalised frames."""
NETWORK_EMBEDDING = TensorSpec("embedding", "FP32", (EMBEDDING_SIZE,))
"""An output of every network, after those of its task."""
IMAGE = TensorSpec("IMAGE", "BYTES")
"""The input of every served model: an encoded image."""
EMBEDDING = TensorSpec("EMBEDDING", "FP32", (EMBEDDING_SIZE,))
PREDICTION_ID = TensorSpec("PREDICTION_ID", "BYTES")
MODEL_VERSION = TensorSpec("MODEL_VERSION", "INT64")
SNAPSHOT_ID = TensorSpec("SNAPSHOT_ID", "BYTES")
IDENTITY = (PREDICTION_ID, MODEL_VERSION, SNAPSHOT_ID)
"""Outputs of every served model, after those of its task and the embedding."""
