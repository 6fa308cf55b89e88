"""Lets trained networks answer, as they are served, in PyTorch and as ONNX. Imports PyTorch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.registry import learning, serving
from visionops_assets.tasks.signature import network_outputs
from visionops_assets.vision.export import OnnxModel, export_onnx
from visionops_assets.vision.inference import Floats, run_network
from visionops_assets.vision.preprocessing import Frame


def run(
    module: nn.Module,
    images: Frame,
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
