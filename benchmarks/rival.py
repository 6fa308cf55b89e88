"""Serves a model by FastAPI and onnxruntime, as people do otherwise, to compare with.

`python -m benchmarks.rival FOLDER PORT default|tuned`; the folder holds `model.onnx` and
`model.json`. "default" follows the two documentations: a plain handler in FastAPI's thread pool, a
session with its default threads. "tuned" is one worker per core, a session of one thread that does
not spin, run on the event loop.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import Body, FastAPI, Request

from benchmarks.bare_loop import open_session
from visionops_assets.contracts import ModelCard
from visionops_assets.vision.preprocessing import preprocess_image, to_network_input

MAX_PIXELS = 50_000_000
FOLDER_VARIABLE = "RIVAL_MODEL"


class Model:
    """Decodes and classifies, by the same preprocessing as ours."""

    def __init__(self, folder: Path, *, tuned: bool) -> None:
        self._card = ModelCard.model_validate_json((folder / "model.json").read_bytes())
        path = folder / "model.onnx"
        self._session = (
            open_session(path)
            if tuned
            else ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        )

    def __call__(self, image: bytes) -> dict[str, object]:
        """Return the label and the probabilities of one encoded image."""
        frame = preprocess_image(image, self._card.spec, max_pixels=MAX_PIXELS)
        inputs = {"images": to_network_input(frame[np.newaxis], self._card)}
        probabilities = self._session.run(["probabilities"], inputs)[0][0]
        label = self._card.classes[int(probabilities.argmax())]
        return {"label": label, "probabilities": probabilities.tolist()}


def default_app() -> FastAPI:
    """Build the application as a beginner would."""
    app, model = FastAPI(), Model(Path(os.environ[FOLDER_VARIABLE]), tuned=False)

    @app.post("/predict")
    def predict(image: Annotated[bytes, Body(media_type="image/jpeg")]) -> dict[str, object]:
        return model(image)

    return app


def tuned_app() -> FastAPI:
    """Build the application as one who measured would."""
    app, model = FastAPI(), Model(Path(os.environ[FOLDER_VARIABLE]), tuned=True)

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, object]:
        return model(await request.body())

    return app


def main() -> None:
    """Serve until SIGTERM."""
    folder, port, kind = sys.argv[1:]
    os.environ[FOLDER_VARIABLE] = folder
    workers = len(os.sched_getaffinity(0)) if kind == "tuned" else 1
    uvicorn.run(
        f"benchmarks.rival:{kind}_app",
        factory=True,
        port=int(port),
        workers=workers,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
