"""Step 2 of the ensemble where Triton has no other backend than Python: ONNX Runtime on CPUs."""

from typing import Any

import triton_python_backend_utils as pb_utils
from asked import alone
from served import ServedModel
from steps import open_session

from visionops_assets.contracts.tensors import NETWORK_INPUT
from visionops_assets.tasks.signature import network_outputs


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the network."""
        served = ServedModel.of(args)
        self._session = open_session(served.folder / "model.onnx")
        self._outputs = [output.name for output in network_outputs(served.card.task)]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the network on each request's images."""
        return [alone(self._respond, request) for request in requests]

    def _respond(self, request: Any) -> Any:
        name = NETWORK_INPUT.name
        images = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
        outputs = zip(self._outputs, self._session.run(self._outputs, {name: images}), strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor(*output) for output in outputs])
