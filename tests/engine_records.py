"""Records of engines as a builder leaves them."""

import hashlib

from visionops_assets.contracts import Artifact, ArtifactReport, ParityBound
from visionops_assets.releasing.engines import RECORDS, EngineRecord

KEY = "nvidia-l4-sm89-trt10.13.3.9-fp16"


def record_of_plan(
    plan: bytes, onnx_model: bytes, *, version: int = 1, model: str = "m", accuracy: float = 1
) -> EngineRecord:
    """Describe an engine; below 0.99, its accuracy makes it unusable."""
    report = ArtifactReport(
        artifact=Artifact.TENSORRT_FP16,
        file="model.plan",
        images=60,
        label_agreement=1,
        max_probability_error=0.01,
        accuracy=accuracy,
        reference_accuracy=1,
        latency_ms=0.4,
        bound=ParityBound(max_accuracy_drop=0.01),
    )
    return EngineRecord(
        model_name=model,
        model_version=version,
        key=KEY,
        source_sha256=hashlib.sha256(onnx_model).hexdigest(),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        report=report,
    )


def message_of(*records: EngineRecord) -> str:
    """Return what the builder writes for Kubernetes to keep."""
    return RECORDS.dump_json(list(records)).decode()
