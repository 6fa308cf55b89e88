"""Step 3 of the ensemble: identity and record of each answer. Run by Triton's Python backend."""

from typing import Any

import triton_python_backend_utils as pb_utils
from asked import alone, images_of, wishes_of
from served import ServedModel
from steps import Inferred, Observer, settings_of_server


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the recorder."""
        self._observer = Observer(ServedModel.of(args), settings_of_server())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Respond to each request with the network's answers to its images."""
        return [alone(self._respond, request) for request in requests]

    def finalize(self) -> None:
        """Publish the buffered predictions."""
        self._observer.close()

    def _respond(self, request: Any) -> Any:
        probabilities, embeddings, quality, started = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("INFERRED_PROBABILITIES", "INFERRED_EMBEDDING", "QUALITY", "STARTED")
        )
        inferred = Inferred(probabilities, embeddings, quality)
        return self._observer.respond(
            request, wishes_of(request), images_of(request), inferred, float(started[0, 0])
        )
