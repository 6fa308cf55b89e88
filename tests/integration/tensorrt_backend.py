"""A stand-in for Triton's TensorRT backend, on its Python backend: an "engine" is an ONNX file."""

from pathlib import Path
from typing import Any

import onnxruntime as ort
import triton_python_backend_utils as pb_utils

NAMES = ["probabilities", "embedding"]


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open `model.plan`, as the TensorRT backend does by default."""
        plan = Path(args["model_repository"]) / args["model_version"] / "model.plan"
        self._session = ort.InferenceSession(plan.read_bytes(), providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the network on each request's images."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        images = pb_utils.get_input_tensor_by_name(request, "images").as_numpy()
        outputs = self._session.run(NAMES, {"images": images})
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, output) for name, output in zip(NAMES, outputs, strict=True)]
        )
