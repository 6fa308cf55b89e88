"""`engine`: a released model as TensorRT engines, built on the GPUs that serve it."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.engines import EngineState, engines_of, note_engine
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import EngineRow
from visionops_assets.errors import ReleaseError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import rows_of, shown
from visionops_assets.resources.kubernetes_jobs import KubernetesJobs
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import table
from visionops_assets.stages.requests import EngineRequest
from visionops_assets.stages.serving.engine_builds import (
    BuildResult,
    build_all,
    job_of,
    missing,
    recipe_of,
)

COLUMNS = rows_of(
    EngineRow,
    {
        "model_name": "Name of the model.",
        "model_version": "Version that the engine answers for.",
        "gpu": "Kind of GPU that it was built on and for.",
        "recipe": "Builder's image, and precision.",
        "state": "`ready`, `serving`, `unusable`, `failed` or `refused`.",
        "reason": "Why it does not serve; empty if it does.",
        "key": "Name of its folder; none if none was built.",
        "plan_sha256": "Hash of the engine, in hexadecimal.",
        "updated_at": "When this row was written.",
    },
)
NO_GPU = "No kind of GPU is declared (VISIONOPS_ENGINE_GPUS): ONNX is served."


def engine_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the TensorRT engines of a model."""

    @dg.asset(
        key=key_of(model, "engine"),
        group_name="model",
        # The export is read by the Jobs. This arrow loads nothing.
        deps=[key_of(model, "exported_model")],
        metadata=shown(COLUMNS),
        code_version=code_version(
            "serving", load_settings().k8s_trainer_image, model.serving.engine_precision
        ),
        kinds={"tensorrt", "kubernetes"},
        owners=OWNERS,
    )
    @fail_in_words
    def engine(
        context: dg.AssetExecutionContext,
        config: EngineRequest,
        catalog: dg.ResourceParam[Catalog],
        kubernetes_jobs: KubernetesJobs,
    ) -> dg.MaterializeResult[None]:
        """TensorRT engines of a version, one per kind of GPU that serves: built and compared there.

        A Kubernetes Job builds each on a node of its kind, compares it with PyTorch on the holdout
        and signs it. No release waits for it: ONNX serves until the releaser takes the engine.
        Where no kind of GPU is declared, this does nothing.
        """
        config.check()
        return _build(context, model, config, catalog, kubernetes_jobs)

    return engine


def _build(
    context: dg.AssetExecutionContext,
    model: ModelDeclaration,
    config: EngineRequest,
    catalog: Catalog,
    kubernetes_jobs: KubernetesJobs,
) -> dg.MaterializeResult[None]:
    settings = load_settings()
    if not settings.gpu_kinds:
        return dg.MaterializeResult(metadata={"outcome": NO_GPU})
    version = config.model_version or _champion(catalog, model.name)
    if not version:
        nothing = f"No version of {model.name!r} was released yet."
        return dg.MaterializeResult(metadata={"outcome": nothing})
    wanted = missing(settings, model, _rows(catalog, model.name, version), again=config.again)
    jobs = {gpu: job_of(settings, model, version, gpu, after) for gpu, after in wanted.items()}
    failed, recipe = {}, recipe_of(settings, model)
    for gpu, result in build_all(kubernetes_jobs, jobs, context.log.info):
        # Each at once: the others may take an hour more.
        _note(catalog, model.name, recipe, version, gpu, result)
        if result.state is EngineState.FAILED:
            failed[gpu] = result.reason
    if failed:
        reasons = " ".join(f"{gpu}: {reason}" for gpu, reason in failed.items())
        raise ReleaseError(
            f"Version {version} has no engine for {', '.join(failed)}, and ONNX serves there. "
            f"{reasons}"
        )
    rows = _rows(catalog, model.name, version)
    return dg.MaterializeResult(metadata=_metadata(version, list(wanted), list(rows.values())))


def _champion(catalog: Catalog, model_name: str) -> int:
    with catalog.begin() as session:
        current = champion(session, model_name)
    return current.model_version if current else 0


def _rows(catalog: Catalog, model_name: str, version: int) -> dict[str, EngineRow]:
    with catalog.begin() as session:
        return {row.gpu: row for row in engines_of(session, model_name, version)}


def _note(
    catalog: Catalog, model_name: str, recipe: str, version: int, gpu: str, result: BuildResult
) -> None:
    record = result.record
    with catalog.begin() as session:
        note_engine(
            session,
            model_name=model_name,
            model_version=version,
            gpu=gpu,
            recipe=recipe,
            state=result.state,
            reason=result.reason,
            key=record.key if record else None,
            plan_sha256=record.plan_sha256 if record else None,
        )


def _metadata(version: int, built: list[str], rows: Sequence[EngineRow]) -> dict[str, Any]:
    frame = pd.DataFrame(
        {"gpu": row.gpu, "state": row.state, "engine": row.key, "reason": row.reason}
        for row in rows
    )
    outcome = f"Built for {', '.join(built)}." if built else "Nothing was missing."
    return {"model_version": version, "outcome": outcome, "engines": table(frame)}
