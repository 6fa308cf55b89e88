"""From a trained PyTorch module to one ONNX file, and proof that both say the same."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from visionops_assets.contracts import ModelCard
from visionops_assets.vision.architectures import Classifier
from visionops_assets.vision.preprocessing import Frame, to_network_input
from visionops_assets.vision.training import Floats, predict_probabilities

INPUT_NAME = "images"
OUTPUT_NAMES = ("probabilities", "embedding")
ONNX_OPSET = 18
# The tracer takes a batch of one for a constant.
EXAMPLE_BATCH = 2


@dataclass(frozen=True)
class Parity:
    """How closely an exported model follows PyTorch on the same images."""

    label_agreement: float
    """Share of images with the same label, 0..1."""
    max_probability_error: float
    """Largest absolute difference of any probability."""


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
    """Silence what the exporter says of itself: its own deprecated call, and no torchvision."""
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


def compare_with_onnx(
    onnx_path: Path, module: Classifier, images: Frame, card: ModelCard
) -> Parity:
    """Run frames, uint8 (N, S, S, 3), through both and compare the probabilities.

    Raises:
        ValueError: no images to compare on.
    """
    if not len(images):
        raise ValueError("A comparison needs at least one image.")
    ours, _ = predict_probabilities(module, images, card)
    theirs = _run_onnx(onnx_path, images, card)
    return Parity(
        label_agreement=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        max_probability_error=float(np.abs(ours - theirs).max()),
    )


def _run_onnx(onnx_path: Path, images: Frame, card: ModelCard) -> Floats:
    session = onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])
    inputs = {INPUT_NAME: to_network_input(images, card)}
    (probabilities,) = session.run([OUTPUT_NAMES[0]], inputs)
    return np.asarray(probabilities, np.float32)
