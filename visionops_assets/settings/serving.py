"""Settings of serving: Triton, the gateway and signatures."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ServingSettings(BaseSettings):
    """Triton, the gateway, signatures."""

    serving_layout: Literal["fused", "ensemble"] = Field(
        "fused", description="One model that does all steps (CPU), or an ensemble around TensorRT."
    )
    serving_backend: Literal["python", "onnxruntime", "tensorrt"] = Field(
        "python", description="Triton backend that runs the network of an ensemble."
    )
    engine_gpus: str = Field(
        "",
        description="Kinds of GPU that serve, comma-separated, as the label "
        "`nvidia.com/gpu.product` of their nodes says: a TensorRT engine is built for each, and "
        "serves an ensemble in place of ONNX. Empty: none is built.",
    )
    serving_instances: int = Field(
        0, ge=0, description="Model instances per Triton server; 0 means one per core."
    )
    serving_max_queue: int = Field(
        256, gt=0, description="Requests that may wait in Triton; more are refused as overload."
    )
    prediction_image_sample_rate: float = Field(
        0.01, ge=0, le=1, description="Share of predictions whose image is kept."
    )
    gateway_max_in_flight: int = Field(
        64,
        gt=0,
        description="Predictions under way in one gateway; more are answered 429. A key has at "
        "most half of them, or less while others have some.",
    )
    gateway_max_costly: int = Field(
        0,
        ge=0,
        description="Predictions of large images (50 ms of CPU time and more) that one gateway has "
        "under way in Triton; others wait. 0 means half of the gateway's cores, at least one.",
    )
    gateway_deadline_s: float = Field(
        10.0, gt=0, description="Longest a prediction may take, unless its request says less."
    )
    gateway_breaker_failures: int = Field(
        5, gt=0, description="Failures of Triton in a row after which it is left alone for a while."
    )
    gateway_breaker_open_s: float = Field(
        2.0, gt=0, description="Time for which Triton is then left alone."
    )
    signing_key_file: Path | None = Field(
        None,
        description="Ed25519 private key (PEM) that signs what is exported and released. Default: "
        "<home>/signing.key, made when first needed.",
    )

    @property
    def gpu_kinds(self) -> tuple[str, ...]:
        """Return the kinds of GPU that serve, each once."""
        kinds = (kind.strip() for kind in self.engine_gpus.split(","))
        return tuple(dict.fromkeys(kind for kind in kinds if kind))
