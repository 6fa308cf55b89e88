"""TensorRT engines: built from ONNX on the GPU that will run them, and run for comparison.

Networks are strongly typed, the only kind that TensorRT 11 knows: FP16 and INT8 come from the ONNX
graph (see `precision`), not from builder flags. TensorRT is imported when used. Written for the API
of TensorRT 10.13 to 11.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import NETWORK_INPUT, TensorSpec
from visionops_assets.errors import ReleaseError, SettingsError
from visionops_assets.vision.export import BATCH
from visionops_assets.vision.parity import Floats
from visionops_assets.vision.preprocessing import Frame, to_network_input
from visionops_assets.vision.selection import Images
from visionops_assets.vision.tensorrt_target import Target

OPTIMAL_BATCH = 8
MAX_BATCH = BATCH
"""`max_batch_size` of the served model: Triton sends no larger batch."""
WORKSPACE_BYTES = 1024**3


@dataclass(frozen=True)
class BuiltEngine:
    """A serialized engine, and the kernel timings that make the next build faster."""

    plan: bytes
    timing_cache: bytes


def this_target() -> Target:
    """Describe the first GPU of this machine.

    Raises:
        SettingsError: TensorRT is not installed, or there is no GPU.
    """
    trt = _tensorrt()
    if not torch.cuda.is_available():
        raise SettingsError("PyTorch sees no CUDA GPU here: run this on a GPU node.")
    return Target(
        gpu=torch.cuda.get_device_name(0),
        compute_capability=torch.cuda.get_device_capability(0),
        tensorrt_version=str(trt.__version__),
    )


def build_engine(onnx_path: Path, size_px: int, timing_cache: bytes = b"") -> BuiltEngine:
    """Build an engine for batches of 1 to 32 images, fastest at 8, from a typed ONNX graph.

    Raises:
        SettingsError: TensorRT is not installed.
        ReleaseError: TensorRT cannot parse or build this model.
    """
    trt = _tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_path.read_bytes()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ReleaseError(f"TensorRT cannot parse {onnx_path.name}: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    profile = builder.create_optimization_profile()
    shapes = [(count, 3, size_px, size_px) for count in (1, OPTIMAL_BATCH, MAX_BATCH)]
    profile.set_shape(NETWORK_INPUT.name, *shapes)
    config.add_optimization_profile(profile)
    # TensorRT ignores timings of other GPUs, and says so.
    cache = config.create_timing_cache(timing_cache)
    if not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ReleaseError(f"TensorRT cannot build {onnx_path.name}: see its log above.")
    return BuiltEngine(bytes(plan), bytes(cache.serialize()))


class Engine:
    """Runs an engine on the first GPU: frames in, all its `outputs` out."""

    def __init__(self, plan: bytes, card: ModelCard, outputs: Sequence[TensorSpec]) -> None:
        """Load an engine.

        Raises:
            SettingsError: TensorRT is not installed.
            ReleaseError: the engine does not load on this GPU with this TensorRT.
        """
        trt = _tensorrt()
        self._card, self._outputs = card, outputs
        # TensorRT's objects do not keep the objects alive that made them.
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ReleaseError(
                "The engine does not load: it was built for another GPU or TensorRT."
            )
        self._context: Any = self._engine.create_execution_context()

    def predict(self, images: Images) -> Mapping[str, Floats]:
        """Run on frames, uint8 (N, S, S, 3); return outputs by name, each with N rows.

        Raises:
            ReleaseError: TensorRT refuses to run.
        """
        batches = range(0, len(images), MAX_BATCH)
        parts = [self._run(images[i : i + MAX_BATCH]) for i in batches]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, images: Frame) -> dict[str, Floats]:
        stream = torch.cuda.current_stream()
        inputs = torch.from_numpy(to_network_input(images, self._card)).cuda()
        outputs = {
            output.name: torch.empty((len(images), *output.dims), device="cuda")
            for output in (each.sized(self._card.sizes) for each in self._outputs)
        }
        self._context.set_input_shape(NETWORK_INPUT.name, tuple(inputs.shape))
        for name, tensor in {NETWORK_INPUT.name: inputs, **outputs}.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise ReleaseError("TensorRT refuses to run the engine: see its log above.")
        stream.synchronize()
        return {
            name: np.asarray(tensor.cpu().numpy(), np.float32) for name, tensor in outputs.items()
        }


def _tensorrt() -> Any:
    try:
        import tensorrt  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "tensorrt is not installed: pip install visionops[tensorrt], on a machine with a GPU."
        ) from error
    return tensorrt
