"""Step 1 of the ensemble: encoded images to network input. Run by Triton's Python backend."""

import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from served import ServedModel
from steps import Preprocessor, images_of, quality_of, refusal, settings_of_server

from visionops_assets.errors import MediaError
from visionops_assets.vision.preprocessing import to_network_input


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the model card."""
        self._card = ServedModel.of(args).card
        self._preprocess = Preprocessor(self._card, settings_of_server())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Preprocess each request; an unusable image ends its request alone."""
        return [self._respond(images_of(request)) for request in requests]

    def _respond(self, images: list[bytes]) -> Any:
        started = np.full((len(images), 1), time.time())
        try:
            frames = self._preprocess(images)
        except MediaError as error:
            return refusal(error)
        inputs = to_network_input(frames, self._card)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("IMAGES", inputs),
                pb_utils.Tensor("QUALITY", quality_of(frames)),
                pb_utils.Tensor("STARTED", started),
            ]
        )
