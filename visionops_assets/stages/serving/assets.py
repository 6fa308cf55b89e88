"""`model_release`: from an exported model to the served one."""

from typing import Any

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import ExportedModel, ReleasedModel
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.serving.audit import Order
from visionops_assets.stages.serving.controller import Controller
from visionops_assets.stages.serving.release import Releaser


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
    releaser = Releaser(Controller.of(catalog, object_store, triton))
    order = Order.of_run(context.run_id, "The newest candidate that passed the gate.")
    outcome = releaser.promote(exported_model.model_name, exported_model.model_version, order)
    released = outcome.released
    tracking.set_champion(released.model_name, released.model_version)
    folder = f"s3://{settings.s3_bucket}/{outcome.folder}"
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
