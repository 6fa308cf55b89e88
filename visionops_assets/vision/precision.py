"""ONNX models of lower precision: INT8 for CPUs, INT8 and FP16 for TensorRT.

The body of the network changes its type. Head and softmax stay float32: they cost little, and their
rounding would show in every probability. Inputs and outputs keep names, shapes and types.
"""

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import NETWORK_INPUT
from visionops_assets.vision.preprocessing import Frame, to_network_input

Runtime = Literal["cpu", "tensorrt"]
"""The place where an INT8 model will run."""

QUANTIZED_OPERATORS = ["Add", "Conv", "MaxPool", "Relu"]
CALIBRATION_BATCH = 32
CALIBRATION_IMAGES = 256
CALIBRATION_SEED = 0


def calibration_sample(
    kinds: npt.NDArray[np.int64], most: int = CALIBRATION_IMAGES
) -> npt.NDArray[np.int64]:
    """Choose images to calibrate on by their kinds (N), such as classes, as evenly as possible.

    Returns:
        At most `most` indices, in order; always the same for the same kinds.
    """
    rng = np.random.default_rng(CALIBRATION_SEED)
    # The i-th of each kind, in random order, comes before the (i + 1)-th of any.
    shuffled = rng.permutation(len(kinds))
    rank = np.empty(len(kinds), np.int64)
    for label in np.unique(kinds):
        of_label = shuffled[kinds[shuffled] == label]
        rank[of_label] = np.arange(len(of_label))
    chosen = shuffled[np.argsort(rank[shuffled], kind="stable")][:most]
    return np.sort(chosen)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Feeds frames to the calibration, normalised as they are served."""

    def __init__(self, images: Frame, card: ModelCard) -> None:
        self._batches = iter(
            {NETWORK_INPUT.name: to_network_input(images[start : start + CALIBRATION_BATCH], card)}
            for start in range(0, len(images), CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._batches, None)


def quantize(
    onnx_path: Path, images: Frame, card: ModelCard, path: Path, *, runtime: Runtime
) -> None:
    """Write an ONNX model in INT8, with Q/DQ nodes calibrated on frames, uint8 (N, S, S, 3).

    Weights are symmetric and per channel. For CPUs activations are unsigned, the only form that is
    faster than float32 there, and weights have 7 bits: with 8, CPUs without VNNI cut sums off (ONNX
    Runtime's `reduce_range`), and one model would answer differently by machine. TensorRT takes
    only symmetric signed activations, and no quantized bias.

    Raises:
        ValueError: no images to calibrate on.
    """
    if not len(images):
        raise ValueError("Calibration needs at least one image.")
    is_cpu = runtime == "cpu"
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        prepared = Path(name) / "prepared.onnx"
        quant_pre_process(str(onnx_path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            _Batches(images, card),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED_OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8 if is_cpu else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            reduce_range=is_cpu,
            extra_options={"ActivationSymmetric": not is_cpu, "QuantizeBias": is_cpu},
        )


def to_float16(onnx_path: Path, path: Path) -> None:
    """Write an ONNX model in FP16, for TensorRT, which takes its types from the graph."""
    # Imported only here: this package puts its own folder on Python's path.
    from onnxruntime.transformers.float16 import (  # noqa: PLC0415
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )
    from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: PLC0415

    model = convert_float_to_float16(
        onnx.load(onnx_path),
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, "Gemm", "Softmax"],
    )
    # The converter appends its casts to the end, where ONNX does not allow them, and leaves wrong
    # types of inner values behind.
    OnnxModel.graph_topological_sort(model.graph)
    del model.graph.value_info[:]
    onnx.save(model, path)
