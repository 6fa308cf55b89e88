"""Exports a trained PyTorch module to one ONNX file, and runs that file."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import NETWORK_INPUT
from visionops_assets.vision.inference import Floats
from visionops_assets.vision.preprocessing import to_network_input
from visionops_assets.vision.selection import Images

ONNX_OPSET = 18
# The tracer would take a batch of one for a constant.
EXAMPLE_BATCH = 2
BATCH = 32
"""Images per call of an artifact."""


def export_onnx(served: nn.Module, card: ModelCard, path: Path, outputs: Sequence[str]) -> None:
    """Write a network, as it is served, to one self-contained ONNX file.

    The input is `NETWORK_INPUT`, normalised by `to_network_input`; `outputs` names those of the
    network, in its order. The number of images is free.
    """
    size_px = card.spec.size_px
    example = torch.zeros(EXAMPLE_BATCH, 3, size_px, size_px)
    with _quiet_exporter():
        program = torch.onnx.export(
            served.eval(),
            (example,),
            input_names=[NETWORK_INPUT.name],
            output_names=tuple(outputs),
            # By position: the network's own name of its input is not ours.
            dynamic_shapes=({0: torch.export.Dim("batch")},),
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
    """An ONNX model in ONNX Runtime, on one thread of the CPU: frames in, `outputs` out."""

    def __init__(self, path: Path, card: ModelCard, outputs: Sequence[str]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._card, self._outputs = card, list(outputs)

    def predict(self, images: Images) -> Mapping[str, Floats]:
        """Run on frames, uint8 (N, S, S, 3); return outputs by name, each with N rows."""
        batches = [
            self._session.run(
                self._outputs,
                {NETWORK_INPUT.name: to_network_input(images[start : start + BATCH], self._card)},
            )
            for start in range(0, len(images), BATCH)
        ]
        parts = zip(*batches, strict=True)
        return {name: np.concatenate(part) for name, part in zip(self._outputs, parts, strict=True)}
