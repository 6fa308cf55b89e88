"""Exports a trained PyTorch module to one ONNX file, and runs that file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from visionops_assets.contracts import ModelCard
from visionops_assets.vision.architectures import Classifier
from visionops_assets.vision.inference import Floats
from visionops_assets.vision.preprocessing import Frame, to_network_input

INPUT_NAME = "images"
OUTPUT_NAMES = ("probabilities", "embedding")
ONNX_OPSET = 18
# The tracer would take a batch of one for a constant.
EXAMPLE_BATCH = 2
BATCH = 32
"""Images per call of an artifact."""


class _WithProbabilities(nn.Module):
    """The classifier as it is served: softmax is part of the graph."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.classifier(images)
        return torch.softmax(logits, dim=1), embedding


def export_onnx(module: Classifier, card: ModelCard, path: Path) -> None:
    """Write one self-contained ONNX file.

    Input `images`: float32 (N, 3, S, S), normalised by `to_network_input`. Outputs `probabilities`
    (N, classes) and `embedding` (N, E), float32. N is free.
    """
    size_px = card.spec.size_px
    example = torch.zeros(EXAMPLE_BATCH, 3, size_px, size_px)
    with _quiet_exporter():
        program = torch.onnx.export(
            _WithProbabilities(module).eval(),
            (example,),
            input_names=[INPUT_NAME],
            output_names=OUTPUT_NAMES,
            dynamic_shapes={INPUT_NAME: {0: torch.export.Dim("batch")}},
            opset_version=ONNX_OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program; it does so since torch 2.5.")
    # Each node carries the stack trace of the Python that made it: paths of this machine.
    for node in program.model.graph:
        node.metadata_props.clear()
    program.save(path, external_data=False)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's warnings of its own deprecated call and of missing torchvision."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level_before = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            yield
    finally:
        registration.setLevel(level_before)


class OnnxModel:
    """An ONNX model in ONNX Runtime, on one thread of the CPU: images in, probabilities out."""

    def __init__(self, path: Path, card: ModelCard) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._card = card

    def predict(self, images: Frame) -> Floats:
        """Classify frames, uint8 (N, S, S, 3): probabilities, float32 (N, classes)."""
        answers = [
            self._session.run(
                [OUTPUT_NAMES[0]],
                {INPUT_NAME: to_network_input(images[start : start + BATCH], self._card)},
            )[0]
            for start in range(0, len(images), BATCH)
        ]
        return np.concatenate(answers)
