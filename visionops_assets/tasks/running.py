"""Networks of any task: trained, loaded, exported, and answering as they are served."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.registry import learning, serving
from visionops_assets.tasks.signature import network_outputs
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.export import OnnxModel, export_onnx
from visionops_assets.vision.inference import Floats, load_weights, run_network
from visionops_assets.vision.selection import Images
from visionops_assets.vision.training import Lesson


def lesson_of(task: str) -> Lesson:
    """Return a task as the training sees it."""
    return Lesson(task, learning(task), network_outputs(task))


def load_network(weights: Path, card: ModelCard) -> EmbeddingNetwork:
    """Build the network of a card and fill it with saved weights, ready to predict."""
    module = learning(card.task).network(card.architecture, len(card.classes))
    load_weights(module, weights)
    return module


def run(
    module: nn.Module,
    images: Images,
    card: ModelCard,
    rows: npt.NDArray[np.int64] | None = None,
) -> dict[str, Floats]:
    """Run a network on frames, uint8 (M, S, S, 3), or on those that `rows` (N,) names.

    Returns:
        The outputs of the card's task by name, with a row per frame.
    """
    served = learning(card.task).served(module)
    return run_network(served, images, card, network_outputs(card.task), rows=rows)


def export(module: nn.Module, card: ModelCard, path: Path) -> None:
    """Write a network to one ONNX file, as its task serves it (see `export_onnx`)."""
    names = [output.name for output in network_outputs(card.task)]
    export_onnx(learning(card.task).served(module), card, path, names)


def open_onnx(path: Path, card: ModelCard) -> OnnxModel:
    """Open an exported network, to give the outputs of its task."""
    return OnnxModel(path, card, [output.name for output in serving(card.task).network])
