"""`exported_model`: a candidate that passed the gate, as files that Triton can serve."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.contracts import (
    Artifact,
    ArtifactReport,
    Candidate,
    ExportedModel,
    GateVerdict,
)
from visionops_assets.errors import GateRefusedError
from visionops_assets.models import ModelDeclaration, model_named
from visionops_assets.resources.columns import fields_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import load_settings
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.of_model import input_of, key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture, table
from visionops_assets.vision.plots import error_distributions

FIELDS = fields_of(
    ExportedModel,
    {
        "model_name": "Name of the model.",
        "model_version": "Version that was exported.",
        "snapshot_id": "Snapshot it was trained on.",
        "object_prefix": "Folder of its files in the object store.",
        "sha256_by_file": "Hash of each file, in hexadecimal.",
        "artifacts": "Per artifact: agreement with PyTorch, accuracy and latency.",
    },
)


def exported_model_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the exports of a model."""

    @dg.asset(
        key=key_of(model, "exported_model"),
        ins=input_of(model, "trained_model") | input_of(model, "model_evaluation"),
        group_name="model",
        io_manager_key="records",
        metadata=shown(FIELDS),
        code_version=code_version("serving", model.serving.max_accuracy_drop),
        kinds={"onnx", "s3", "mlflow"},
        owners=OWNERS,
        # An asset without an output is not materialized, and Dagster skips those that need it.
        output_required=False,
    )
    @fail_in_words
    def exported_model(
        context: dg.AssetExecutionContext,
        trained_model: Candidate,
        model_evaluation: GateVerdict,
        catalog: dg.ResourceParam[Catalog],
        tracking: dg.ResourceParam[Tracking],
        object_store: dg.ResourceParam[ObjectStore],
    ) -> Iterator[dg.MaterializeResult[ExportedModel]]:
        """Candidate as ONNX in float32 and INT8, signed, each compared with PyTorch on the holdout.

        A candidate that the gate did not pass is neither exported nor released. That is an answer:
        the run succeeds.
        """
        version = trained_model.model_version
        if model_evaluation.model_version != version:
            raise GateRefusedError(
                f"The newest verdict is on version {model_evaluation.model_version}, not on "
                f"{version}: materialize model_evaluation again."
            )
        if not model_evaluation.passed:
            said = model_evaluation.reason
            context.log.info("Version %d is not exported: %s", version, said)
            return
        yield _exported(context, trained_model, catalog, tracking, object_store)

    return exported_model


def _exported(
    context: dg.AssetExecutionContext,
    trained_model: Candidate,
    catalog: Catalog,
    tracking: Tracking,
    object_store: ObjectStore,
) -> dg.MaterializeResult[ExportedModel]:
    # PyTorch takes two seconds to import, and most runs export nothing.
    from visionops_assets.stages.serving.export import export_candidate  # noqa: PLC0415

    places, tell = FramePlaces(catalog), context.log.warning
    export = export_candidate(trained_model, tracking, object_store, places, tell)
    exported = export.exported
    bucket = load_settings().s3_bucket
    errors = {str(name): parity.errors for name, parity in export.parity_by_artifact.items()}
    return dg.MaterializeResult(
        value=exported,
        metadata={
            "model_version": exported.model_version,
            "folder": dg.MetadataValue.path(f"s3://{bucket}/{exported.object_prefix}"),
            "artifacts": table(_rows(exported)),
            "probability_errors": picture(error_distributions(errors), "probability errors"),
            "sha256_by_file": dg.MetadataValue.json(exported.sha256_by_file),
        },
    )


def onnx_matches_pytorch_of(exported: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Define the check of a model's exports."""

    @dg.asset_check(asset=exported, blocking=True)
    def onnx_matches_pytorch(exported_model: ExportedModel) -> dg.AssetCheckResult:
        """Check on the holdout that float32 and the artifact to be served agree with PyTorch.

        Any other artifact that does not agree is not offered for serving, and stops nothing.
        """
        served = Artifact(f"onnx-{model_named(exported_model.model_name).serving.precision}")
        needed = {Artifact.ONNX_FP32, served}
        unusable = [report for report in exported_model.artifacts if not report.usable]
        present = {report.artifact for report in exported_model.artifacts}
        failed = [report for report in unusable if report.artifact in needed]
        return dg.AssetCheckResult(
            passed=not failed and needed <= present,
            description=_description(unusable, needed - present, served),
            metadata={"served": served.value, "artifacts": table(_rows(exported_model))},
        )

    return onnx_matches_pytorch


def _description(unusable: list[ArtifactReport], missing: set[Artifact], served: Artifact) -> str:
    problems = [f"{name.value} was not exported" for name in sorted(missing)]
    problems += [
        f"{report.artifact.value} is not usable: {', '.join(report.shortfalls)}"
        for report in unusable
    ]
    if not problems:
        return "Every artifact agrees with PyTorch."
    failed = {report.artifact for report in unusable}
    return f"{'. '.join(problems)}. {_next_step(failed, missing, served)}"


def _next_step(failed: set[Artifact], missing: set[Artifact], served: Artifact) -> str:
    if missing:
        return "Materialize exported_model again."
    if Artifact.ONNX_FP32 in failed:
        return "That is a fault of the export: please report it. The champion serves on."
    if served in failed:
        return "Declare `serving: {precision: fp32}`, then: visionops train."
    return f"Nothing is to be done: {served.value} is served."


def _rows(exported: ExportedModel) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "artifact": report.artifact.value,
            "file": report.file,
            "usable": report.usable,
            "holdout_images": report.images,
            "label_agreement": report.label_agreement,
            "max_probability_error": report.max_probability_error,
            "accuracy": report.accuracy,
            "accuracy_of_pytorch": report.reference_accuracy,
            "accuracy_drop": report.accuracy_drop,
            "accuracy_drop_allowed": report.bound.max_accuracy_drop,
            "latency_ms": round(report.latency_ms, 3),
        }
        for report in exported.artifacts
    )
