"""Turns a trained candidate into ONNX, and measures how closely it follows PyTorch."""

import tempfile
from pathlib import Path

from visionops_assets.contracts import Candidate, ExportedModel, ModelCard
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import MODEL_FOLDER, Tracking
from visionops_assets.stages.serving.golden import golden_images
from visionops_assets.stages.serving.repository import sha256_by_file
from visionops_assets.vision.export import compare_with_onnx, export_onnx
from visionops_assets.vision.training import load_model

MAX_PROBABILITY_ERROR = 1e-3
"""Float32 sums taken in another order differ by about 1e-6; a wrong export by far more."""


def export_candidate(
    candidate: Candidate, tracking: Tracking, object_store: ObjectStore
) -> ExportedModel:
    """Export a candidate, compare it on golden images, and store it in S3 and MLflow.

    Raises:
        NotFoundError: MLflow or the object store has not what the candidate names.
    """
    prefix = f"exports/{candidate.model_name}/{candidate.model_version}/"
    images = golden_images(object_store, candidate.snapshot_id)
    with tempfile.TemporaryDirectory(prefix="visionops-") as name:
        folder = Path(name)
        weights, card_path = (
            tracking.download(candidate.mlflow_run_id, f"{MODEL_FOLDER}/{file}", folder)
            for file in ("model.safetensors", "model.json")
        )
        card = ModelCard.model_validate_json(card_path.read_bytes())
        module = load_model(weights, card)
        onnx_path = folder / "model.onnx"
        export_onnx(module, card, onnx_path)
        parity = compare_with_onnx(onnx_path, module, images, card)
        tracking.log_file(candidate.mlflow_run_id, onnx_path)
        files = {"model.onnx": onnx_path.read_bytes(), "model.json": card_path.read_bytes()}
    for file, data in files.items():
        object_store.put(prefix + file, data)
    return ExportedModel(
        model_name=candidate.model_name,
        model_version=candidate.model_version,
        snapshot_id=candidate.snapshot_id,
        object_prefix=prefix,
        sha256_by_file=sha256_by_file(files),
        golden_images=len(images),
        label_agreement=parity.label_agreement,
        max_probability_error=parity.max_probability_error,
    )


def follows_pytorch(exported: ExportedModel) -> bool:
    """Whether the ONNX model may stand for the PyTorch one."""
    return (
        exported.label_agreement == 1.0 and exported.max_probability_error <= MAX_PROBABILITY_ERROR
    )
