"""Names the target of a TensorRT engine: it runs only on the GPU and version that built it.

Imports no CUDA, so that keys can be made anywhere.
"""

import re
from dataclasses import dataclass
from typing import Literal

EnginePrecision = Literal["fp16", "int8"]


@dataclass(frozen=True)
class Target:
    """The target of an engine: a kind of GPU, its compute capability, TensorRT's version."""

    gpu: str
    compute_capability: tuple[int, int]
    tensorrt_version: str

    @property
    def slug(self) -> str:
        """Name the target in keys: `nvidia-l4-sm89-trt11.4.0`."""
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        major, minor = self.compute_capability
        return f"{gpu}-sm{major}{minor}-trt{self.tensorrt_version}"

    def engine_key(self, precision: EnginePrecision) -> str:
        """Name an engine of this target: `nvidia-l4-sm89-trt11.4.0-fp16`."""
        return f"{self.slug}-{precision}"
