"""Asks for the engines that the champion, or the version tried beside it, lacks."""

import hashlib
import time

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.engines import engines_of
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.errors import SettingsError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages.attempts import EXCLUSIVE_TAG, PRIORITY_TAG, due_attempt
from visionops_assets.stages.of_model import AssetJob, name_of, selection_of
from visionops_assets.stages.serving.built_engines import NO_GPU
from visionops_assets.stages.serving.engine_builds import missing, recipe_of

ENGINES_TAG = "visionops/engines"
"""On a run: the version, and a hash of what else decides about its engines."""


def build_engines_of(model: ModelDeclaration) -> AssetJob:
    """Define the job that builds a model's engines."""
    return dg.define_asset_job(
        name_of(model, "build_engines"),
        selection=selection_of(model, "engine"),
        description=f"Builds the TensorRT engines of a version of {model.name} on the GPUs that "
        f"serve. Started by `{name_of(model, 'missing_engines')}`, where kinds of GPU are "
        "declared.",
        # Apart from learning and watching: it mostly waits for a GPU node.
        tags={EXCLUSIVE_TAG: f"engines {model.name}", PRIORITY_TAG: "1"},
        # On a cluster only the pod of a run may start Jobs; the pod of a step may not.
        executor_def=dg.in_process_executor,
    )


def missing_engines_of(model: ModelDeclaration, build_engines: AssetJob) -> dg.SensorDefinition:
    """Define the sensor that asks for a model's engines."""

    @dg.sensor(
        name=name_of(model, "missing_engines"),
        job=build_engines,
        description=f"Starts {build_engines.name} for the champion and for the version tried "
        "beside it, until each kind of GPU that serves has its engine or an answer why not.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @skip_without_servers
    def missing_engines(
        context: dg.SensorEvaluationContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.SensorResult | dg.SkipReason:
        """Ask for a run while an engine is missing. Level-triggered by the catalog.

        So it also builds for a version that was rolled back to, for a kind of GPU that was added,
        and for another TensorRT.
        """
        return _ask(context.instance, catalog, model)

    return missing_engines


def _ask(
    instance: dg.DagsterInstance, catalog: Catalog, model: ModelDeclaration
) -> dg.SensorResult | dg.SkipReason:
    settings = load_settings()
    if not settings.gpu_kinds:
        return dg.SkipReason(NO_GPU)
    try:
        recipe_of(settings, model)
    except SettingsError as error:
        return dg.SkipReason(str(error))
    requests, step = [], name_of(model, "engine")
    for version in _versions(catalog, model.name):
        with catalog.begin() as session:
            rows = {row.gpu: row for row in engines_of(session, model.name, version)}
        if not missing(settings, model, rows):
            continue
        tags = {ENGINES_TAG: f"{version} {_digest(settings, model)}"}
        attempt = due_attempt(instance, tags, time.time())
        if attempt is not None:
            requests.append(
                dg.RunRequest(
                    run_key=f"engines-{version}-{_digest(settings, model)}-attempt-{attempt}",
                    run_config={"ops": {step: {"config": {"model_version": version}}}},
                    tags=tags,
                )
            )
    if not requests:
        return dg.SkipReason("No engine is missing, or none can be built now.")
    return dg.SensorResult(run_requests=requests)


def _versions(catalog: Catalog, model_name: str) -> list[int]:
    """Return the champion's version, and that of the rollout under way."""
    with catalog.begin() as session:
        current = champion(session, model_name)
        rollout = active_rollout(session, model_name)
    found = [each.model_version for each in (current, rollout) if each is not None]
    return list(dict.fromkeys(found))


def _digest(settings: Settings, model: ModelDeclaration) -> str:
    decides = (model.name, recipe_of(settings, model), *settings.gpu_kinds)
    return hashlib.sha256("\n".join(decides).encode()).hexdigest()[:12]
