"""`exported_model` and `model_release`: from a candidate that passed the gate to a served one."""

from typing import Any

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Candidate, ExportedModel, GateVerdict, ReleasedModel
from visionops_assets.errors import GateRefusedError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.serving.export import (
    MAX_PROBABILITY_ERROR,
    export_candidate,
    follows_pytorch,
)
from visionops_assets.stages.serving.release import Releaser


@dg.asset(
    group_name="serving",
    io_manager_key="records",
    kinds={"onnx", "s3", "mlflow"},
    owners=OWNERS,
)
def exported_model(
    trained_model: Candidate,
    model_evaluation: GateVerdict,
    tracking: Tracking,
    object_store: ObjectStore,
) -> dg.MaterializeResult[ExportedModel]:
    """The candidate as ONNX, in the object store and beside its weights in MLflow."""
    if model_evaluation.model_version != trained_model.model_version:
        raise GateRefusedError(
            f"The newest verdict is on version {model_evaluation.model_version}, not on "
            f"{trained_model.model_version}: materialize model_evaluation again."
        )
    exported = export_candidate(trained_model, tracking, object_store)
    bucket = load_settings().s3_bucket
    return dg.MaterializeResult(
        value=exported,
        metadata={
            "model_version": exported.model_version,
            "folder": dg.MetadataValue.path(f"s3://{bucket}/{exported.object_prefix}"),
            "sha256_by_file": dg.MetadataValue.json(exported.sha256_by_file),
        },
    )


@dg.asset_check(asset=exported_model, blocking=True)
def onnx_matches_pytorch(exported_model: ExportedModel) -> dg.AssetCheckResult:
    """On golden images, ONNX gives PyTorch's labels, and its probabilities to within 0.001."""
    return dg.AssetCheckResult(
        passed=follows_pytorch(exported_model),
        metadata={
            "golden_images": exported_model.golden_images,
            "label_agreement": exported_model.label_agreement,
            "max_probability_error": exported_model.max_probability_error,
            "max_probability_error_allowed": MAX_PROBABILITY_ERROR,
        },
    )


@dg.asset(
    group_name="serving",
    io_manager_key="records",
    kinds={"triton", "s3", "postgres"},
    owners=OWNERS,
)
def model_release(
    context: dg.AssetExecutionContext,
    exported_model: ExportedModel,
    catalog: Catalog,
    object_store: ObjectStore,
    tracking: Tracking,
    triton: TritonServer,
) -> dg.MaterializeResult[ReleasedModel]:
    """The version that Triton serves: rehearsed, switched without a gap, recorded for good.

    Reads the gate's verdict from the catalog itself, since a materialization by hand passes
    checks by. On a failure the version before serves on.
    """
    settings = load_settings()
    releaser = Releaser(catalog, object_store, triton, settings.project_root / "triton_models")
    outcome = releaser.release(exported_model, context.run_id)
    released = outcome.released
    tracking.set_champion(released.model_name, released.model_version)
    folder = f"s3://{settings.s3_bucket}/{outcome.repository_prefix}"
    metadata: dict[str, Any] = {
        "model_version": released.model_version,
        "previous_version": released.previous_version,
        "folder": dg.MetadataValue.path(folder),
        "manifest": dg.MetadataValue.json(outcome.sha256_by_file),
        "bytes_by_file": dg.MetadataValue.json(outcome.bytes_by_file),
        "predict_url": dg.MetadataValue.url(f"{settings.gateway_url}/v1/predict"),
    }
    if outcome.smoke_test is None:
        context.log.info("Version %d is champion already", released.model_version)
        metadata["outcome"] = "It was champion already: nothing changed."
    else:
        metadata |= {
            "outcome": "Released.",
            "golden_images": outcome.smoke_test.images,
            "median_latency_ms": outcome.smoke_test.median_latency_ms,
            "slowest_latency_ms": outcome.smoke_test.slowest_latency_ms,
        }
    return dg.MaterializeResult(value=released, metadata=metadata)
