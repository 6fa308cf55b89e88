"""Step 1 of the ensemble: encoded images to network input. Run by Triton's Python backend."""

import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from asked import alone, images_of, wishes_of
from served import ServedModel
from steps import Preprocessor, quality_of, settings_of_server

from visionops_assets.vision.preprocessing import to_network_input


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the model card."""
        self._card = ServedModel.of(args).card
        self._preprocess = Preprocessor(self._card, settings_of_server())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Preprocess each request; an unusable image ends its request alone."""
        return [alone(self._respond, request) for request in requests]

    def _respond(self, request: Any) -> Any:
        started_s = time.time()
        source = wishes_of(request).source
        frames = self._preprocess(images_of(request), source)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("IMAGES", to_network_input(frames, self._card)),
                pb_utils.Tensor("QUALITY", quality_of(frames)),
                pb_utils.Tensor("STARTED", np.full((len(frames), 1), started_s)),
            ]
        )
