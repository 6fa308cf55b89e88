"""Step 3 of the ensemble: identity and record of each answer. Run by Triton's Python backend."""

from typing import Any

import triton_python_backend_utils as pb_utils
from asked import alone, images_of, wishes_of
from served import ServedModel
from steps import Inferred, Observer, settings_of_server

from visionops_assets.tasks.signature import network_outputs


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the recorder."""
        served = ServedModel.of(args)
        self._observer = Observer(served, settings_of_server())
        self._outputs = [output.name for output in network_outputs(served.card.task)]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Respond to each request with the network's answers to its images."""
        return [alone(self._respond, request) for request in requests]

    def finalize(self) -> None:
        """Publish the buffered predictions."""
        self._observer.close()

    def _respond(self, request: Any) -> Any:
        def array(name: str) -> Any:
            return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

        outputs = {name: array(f"INFERRED_{name.upper()}") for name in self._outputs}
        inferred, started = Inferred(outputs, array("QUALITY")), array("STARTED")
        return self._observer.respond(
            request, wishes_of(request), images_of(request), inferred, float(started[0, 0])
        )
