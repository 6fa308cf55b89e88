"""The served pipeline as one model: preprocess, classify, record. Run by Triton's Python backend.

Beside it in the version folder lie `model.onnx`, `model.json`, `steps.py` and `recorder.py`.
"""

import time
from typing import Any

import numpy as np
from served import ServedModel
from steps import (
    Classifier,
    Inferred,
    Observer,
    Preprocessor,
    images_of,
    quality_of,
    refusal,
    settings_of_server,
)

from visionops_assets.errors import MediaError
from visionops_assets.vision.preprocessing import Frame

Work = tuple[Any, list[bytes], Frame]
"""A request, its encoded images, and their frames."""


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's files; an error here makes Triton refuse the version."""
        settings = settings_of_server()
        served = ServedModel.of(args)
        self._classify = Classifier(served.card, served.folder / "model.onnx")
        self._preprocess = Preprocessor(served.card, settings)
        self._observer = Observer(served, settings)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; one that holds an unusable image gets an error of its own."""
        started_s = time.time()
        responses: list[Any] = [None] * len(requests)
        works: dict[int, Work] = {}
        for index, request in enumerate(requests):
            images = images_of(request)
            try:
                works[index] = (request, images, self._preprocess(images))
            except MediaError as error:
                responses[index] = refusal(error)
        if works:
            answers = self._answer(list(works.values()), started_s)
            for index, response in zip(works, answers, strict=True):
                responses[index] = response
        return responses

    def finalize(self) -> None:
        """Publish the predictions still buffered."""
        self._observer.close()

    def _answer(self, works: list[Work], started_s: float) -> list[Any]:
        """Classify the frames of all requests at once, and respond to each with its part."""
        frames = np.concatenate([frames for _, _, frames in works])
        inferred = Inferred(*self._classify(frames), quality_of(frames))
        responses = []
        start = 0
        for request, images, _ in works:
            end = start + len(images)
            part = inferred.rows(start, end)
            responses.append(self._observer.respond(request, images, part, started_s))
            start = end
        return responses
