"""Saves, loads and runs trained weights. Nothing is unpickled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model as load_safetensors
from safetensors.torch import save_model as save_safetensors
from torch import nn

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import TensorSpec
from visionops_assets.vision.preprocessing import to_network_input
from visionops_assets.vision.selection import Images, Selection, batches_of, read_ahead

Floats = npt.NDArray[np.float32]


def run_network(
    served: nn.Module,
    images: Images,
    card: ModelCard,
    outputs: Sequence[TensorSpec],
    batch_size: int = 256,
    rows: npt.NDArray[np.int64] | None = None,
) -> dict[str, Floats]:
    """Run a network, as it is served, on frames, uint8 (M, S, S, 3).

    `rows` int64 (N,) names the frames to run it on, in their order; None: all. `outputs` are those
    of the network, in its order; the result has each by its name, with N rows.
    """
    served.eval()
    rows = np.arange(len(images)) if rows is None else rows
    sized = [output.sized(card.sizes) for output in outputs]
    found = {each.name: np.empty((len(rows), *each.dims), np.float32) for each in sized}
    with torch.inference_mode():
        for batch, frames in read_ahead(Selection(images, rows), batches_of(len(rows), batch_size)):
            tensors = served(torch.from_numpy(to_network_input(frames, card)))
            for array, tensor in zip(found.values(), tensors, strict=True):
                array[batch] = tensor.numpy()
    return found


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the weights as safetensors: only data, no code that would run at loading."""
    save_safetensors(module, str(path))


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a network of the same architecture with saved weights, and make it ready to predict."""
    load_safetensors(module, str(path))
    module.eval()
