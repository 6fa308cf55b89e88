"""The served pipeline as one model. Run by Triton's Python backend.

It preprocesses images, runs the network and records the answers. Beside it in the
version folder lie `model.onnx`, `model.json`, and the modules that it imports.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from asked import Wishes, alone, images_of, wishes_of
from served import ServedModel
from steps import (
    Inferred,
    Network,
    Observer,
    Preprocessor,
    quality_of,
    settings_of_server,
)

from visionops_assets.tasks.base import Outputs
from visionops_assets.vision.preprocessing import Frame


@dataclass(frozen=True, slots=True)
class Work:
    """A request that can be answered: its wishes, its encoded images, and their frames."""

    request: Any
    wishes: Wishes
    images: list[bytes]
    frames: Frame


class TritonPythonModel:
    """The class that the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's files; an error here makes Triton refuse the version."""
        settings = settings_of_server()
        served = ServedModel.of(args)
        self._network = Network(served.card, served.folder / "model.onnx")
        self._preprocess = Preprocessor(served.card, settings)
        self._observer = Observer(served, settings)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; one that cannot be answered gets an error of its own."""
        started_s = time.time()
        prepared = [alone(self._prepare, request) for request in requests]
        works = [work for work in prepared if isinstance(work, Work)]
        answers = iter(self._answer(works, started_s) if works else ())
        return [next(answers) if isinstance(work, Work) else work for work in prepared]

    def finalize(self) -> None:
        """Publish the buffered predictions."""
        self._observer.close()

    def _prepare(self, request: Any) -> Work:
        wishes, images = wishes_of(request), images_of(request)
        return Work(request, wishes, images, self._preprocess(images, wishes.source))

    def _answer(self, works: list[Work], started_s: float) -> list[Any]:
        """Run the network on all requests at once, and respond to each with its part."""
        outputs = self._network(np.concatenate([w.frames for w in works]))
        responses = []
        start = 0
        for work in works:
            end = start + len(work.images)
            part = {name: rows[start:end] for name, rows in outputs.items()}
            responses.append(alone(self._respond, work, part, started_s))
            start = end
        return responses

    def _respond(self, work: Work, outputs: Outputs, started_s: float) -> Any:
        inferred = Inferred(outputs, quality_of(work.frames))
        return self._observer.respond(work.request, work.wishes, work.images, inferred, started_s)
