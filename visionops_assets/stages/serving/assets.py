"""`model_release`: an exported model becomes the served one, at once or by a canary."""

from typing import Any

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import ExportedModel, ReleasedModel
from visionops_assets.models import ModelDeclaration
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.release import ReleaseOutcome, Releaser, as_record
from visionops_assets.releasing.rollouts import Rollouts
from visionops_assets.resources.columns import fields_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import load_settings
from visionops_assets.stages.of_model import input_of, key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import trace_command
from visionops_assets.stages.requests import ReleaseRequest

FIELDS = fields_of(
    ReleasedModel,
    {
        "release_id": "Row of the release in the catalog.",
        "model_name": "Name of the model.",
        "model_version": "Version that serves: the champion.",
        "previous_version": "Version that served before.",
        "snapshot_id": "Snapshot the champion was trained on.",
        "released_at": "When it became champion.",
    },
)


def model_release_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the releases of a model."""

    @dg.asset(
        key=key_of(model, "model_release"),
        ins=input_of(model, "exported_model"),
        group_name="serving",
        # A decision to roll back leads to a release. This arrow loads nothing.
        deps=[key_of(model, "retrain_decision")],
        io_manager_key="records",
        metadata=shown(FIELDS),
        kinds={"triton", "s3", "postgres"},
        owners=OWNERS,
    )
    @fail_in_words
    def model_release(
        context: dg.AssetExecutionContext,
        config: ReleaseRequest,
        exported_model: ExportedModel,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
        tracking: dg.ResourceParam[Tracking],
        triton: dg.ResourceParam[TritonServer],
    ) -> dg.MaterializeResult[ReleasedModel]:
        """Version that Triton serves: rehearsed on every server, then switched without a gap.

        The release reads the gate's verdict from the catalog, since a materialization by hand
        bypasses checks. If it fails, the version before goes on serving. While a canary is tried,
        the champion stays.
        """
        config.check()
        controller = Controller.of(catalog, object_store, triton)
        with catalog.begin() as session:
            current = champion(session, exported_model.model_name)
        is_other = current and current.model_version != exported_model.model_version
        if config.canary_percent and current and is_other:
            return _try(context, controller, current, exported_model, config.canary_percent)
        return _release(context, controller, exported_model, tracking)

    return model_release


def _release(
    context: dg.AssetExecutionContext,
    controller: Controller,
    exported: ExportedModel,
    tracking: Tracking,
) -> dg.MaterializeResult[ReleasedModel]:
    order = Order.of_run(context.run.run_id, "The newest candidate that passed the gate.")
    outcome = Releaser(controller).promote(exported.model_name, exported.model_version, order)
    released = outcome.released
    tracking.set_champion(released.model_name, released.model_version)
    context.log.info("Version %d is champion", released.model_version)
    context.log_event(
        dg.AssetMaterialization("triton", metadata={"model_version": released.model_version})
    )
    return dg.MaterializeResult(value=released, metadata=_metadata(outcome))


def _metadata(outcome: ReleaseOutcome) -> dict[str, Any]:
    settings, released = load_settings(), outcome.released
    folder = f"s3://{settings.s3_bucket}/{outcome.folder}"
    predict_url = f"{settings.gateway_url}/v1/models/{released.model_name}/predict"
    version = f"{released.model_name}:{released.model_version}"
    metadata: dict[str, Any] = {
        "model_version": released.model_version,
        "trace": trace_command("model", version),
        "previous_version": released.previous_version,
        "folder": dg.MetadataValue.path(folder),
        "manifest": dg.MetadataValue.json(outcome.sha256_by_file),
        "bytes_by_file": dg.MetadataValue.json(outcome.bytes_by_file),
        "predict_url": dg.MetadataValue.url(predict_url),
    }
    if outcome.smoke_test is None:
        return metadata | {"outcome": "It was champion already: nothing changed."}
    return metadata | {
        "outcome": "Released.",
        "golden_images": outcome.smoke_test.images,
        "median_latency_ms": outcome.smoke_test.median_latency_ms,
        "slowest_latency_ms": outcome.smoke_test.slowest_latency_ms,
    }


def _try(
    context: dg.AssetExecutionContext,
    controller: Controller,
    current: Release,
    exported: ExportedModel,
    share_percent: float,
) -> dg.MaterializeResult[ReleasedModel]:
    """Start a canary, unless it was started before; return the champion, which stays."""
    version = exported.model_version
    order = Order.of_run(context.run.run_id, "The arbiter asked for it, and the gate passed it.")
    rollout = Rollouts(controller).start_once(exported.model_name, version, share_percent, order)
    outcome = (
        f"Version {version} was tried before, and is not again: see `visionops releases ls`."
        if rollout is None
        else f"Version {version} is tried on {share_percent:g} % of the traffic."
    )
    context.log.info("%s", outcome)
    return dg.MaterializeResult(
        value=as_record(current),
        metadata={
            "model_version": current.model_version,
            "canary_version": version,
            "canary_percent": share_percent,
            "outcome": outcome,
        },
    )
