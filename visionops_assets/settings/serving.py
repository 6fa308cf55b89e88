"""Settings of serving: exports, Triton, the gateway and rollouts."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ServingSettings(BaseSettings):
    """Exports, Triton, the gateway, rollouts."""

    export_max_accuracy_drop: float = Field(
        0.01, ge=0, le=1, description="Holdout accuracy an INT8 or TensorRT artifact may lose."
    )
    serving_precision: Literal["fp32", "int8"] = Field(
        "fp32", description="ONNX artifact that is served on CPUs; INT8 pays off on heavy models."
    )
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
    engine_precision: Literal["fp16", "int8"] = Field(
        "fp16", description="Precision of those engines."
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
    rollout_min_requests: int = Field(
        200, gt=0, description="Requests of a canary or shadow before it is judged."
    )
    rollout_max_error_increase: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How far a candidate's error rate may be above the champion's.",
    )
    rollout_max_latency_ratio: float = Field(
        1.5,
        gt=0,
        description="Largest ratio of a candidate's 95th percentile of latency to the champion's. "
        "It fails where it is above by 99 % confidence.",
    )
    rollout_min_agreement: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Least share of images to which both must give the same answer.",
    )
    rollout_max_s: float = Field(
        3_600.0,
        gt=0,
        description="Longest time of a rollout; one that is not judged by then is ended.",
    )

    @property
    def gpu_kinds(self) -> tuple[str, ...]:
        """Return the kinds of GPU that serve, each once."""
        kinds = (kind.strip() for kind in self.engine_gpus.split(","))
        return tuple(dict.fromkeys(kind for kind in kinds if kind))
