"""Step 2 of the ensemble where Triton has no other backend than Python: ONNX Runtime on CPUs."""

from typing import Any

import triton_python_backend_utils as pb_utils
from asked import alone
from served import ServedModel
from steps import open_session


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the network."""
        self._session = open_session(ServedModel.of(args).folder / "model.onnx")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the network on each request's images."""
        return [alone(self._respond, request) for request in requests]

    def _respond(self, request: Any) -> Any:
        images = pb_utils.get_input_tensor_by_name(request, "images").as_numpy()
        names = ["probabilities", "embedding"]
        outputs = self._session.run(names, {"images": images})
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, output) for name, output in zip(names, outputs, strict=True)]
        )
