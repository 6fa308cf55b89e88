"""The sensors that keep Triton at the champion, judge rollouts and roll a bad release back.

They also report releases to Dagster that no run made.
"""

from typing import Any

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.decisions import newest_decision
from visionops_assets.catalog.releases import champion, event_of, releases_without_run
from visionops_assets.catalog.schema import Release, ReleaseEvent
from visionops_assets.contracts import Outcome
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.models import default_model
from visionops_assets.releasing.audit import ARBITER, Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.convergence import converge
from visionops_assets.releasing.judging import RolloutRule
from visionops_assets.releasing.release import Releaser
from visionops_assets.releasing.rollouts import Rollouts
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.resources.triton import TritonServer


@dg.sensor(
    description="Brings every Triton server back to what the catalog says: after a restart, or "
    "after a release that died. Reports releases that no run made. Starts no runs.",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=dg.AssetSelection.assets("model_release"),
)
@skip_without_servers
def serving_convergence(
    context: dg.SensorEvaluationContext,
    catalog: dg.ResourceParam[Catalog],
    object_store: dg.ResourceParam[ObjectStore],
    triton: dg.ResourceParam[TritonServer],
) -> dg.SensorResult:
    """Bring every Triton server to the catalog's state.

    A release that no run made, such as a rollback by `visionops releases`, becomes a
    materialization here, so that lineage shows it. The cursor is the last release reported.
    """
    model_name = default_model().name
    reported_id = int(context.cursor or 0)
    said = converge(Controller.of(catalog, object_store, triton), model_name)
    materializations, reported_id = _untold(catalog, model_name, reported_id)
    return dg.SensorResult(asset_events=materializations, cursor=str(reported_id), skip_reason=said)


@dg.sensor(
    description="Judges the canary or shadow under way by errors, latency and agreement, then "
    "promotes or ends it. Starts no runs.",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def rollout_rule(
    context: dg.SensorEvaluationContext,
    catalog: dg.ResourceParam[Catalog],
    object_store: dg.ResourceParam[ObjectStore],
    triton: dg.ResourceParam[TritonServer],
) -> dg.SkipReason:
    """Judge the canary or shadow under way, and promote or end it."""
    rollouts = Rollouts(Controller.of(catalog, object_store, triton))
    try:
        return dg.SkipReason(_judged(rollouts))
    except ServerUnreachableError:
        raise
    except VisionOpsError as error:
        context.log.warning("%s", error)
        return dg.SkipReason(str(error))


@dg.sensor(
    description="Rolls the champion back when retrain_decision decided so. Starts no runs.",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def decided_rollback(
    context: dg.SensorEvaluationContext,
    catalog: dg.ResourceParam[Catalog],
    object_store: dg.ResourceParam[ObjectStore],
    triton: dg.ResourceParam[TritonServer],
) -> dg.SkipReason:
    """Roll the champion back if the retrain arbiter decided so.

    Level-triggered: it compares the newest decision with the newest release. So a failed rollback
    is tried again, and a finished one is not.
    """
    controller = Controller.of(catalog, object_store, triton)
    try:
        return dg.SkipReason(roll_back_as_decided(controller, default_model().name))
    except ServerUnreachableError:
        raise
    except VisionOpsError as error:
        context.log.warning("%s", error)
        return dg.SkipReason(str(error))


def _judged(rollouts: Rollouts) -> str:
    model = default_model()
    return rollouts.apply_rule(model.name, RolloutRule.of(model.serving.rollouts))


def roll_back_as_decided(controller: Controller, model_name: str) -> str:
    """Roll back if the newest decision says so, and say what was done.

    Raises:
        VisionOpsError: it failed, or another release came first.
    """
    with controller.catalog.begin() as session:
        decision = newest_decision(session, model_name)
        current = champion(session, model_name)
    if decision is None or decision.outcome != Outcome.ROLL_BACK or current is None:
        return "No rollback was decided."
    if decision.release_id != current.release_id:
        return f"The rollback of version {decision.model_version} is over."
    outcome = Releaser(controller).roll_back(
        model_name,
        Order(ARBITER, decision.reason),
        current.previous_version,
        of_release=current.release_id,
    )
    released = outcome.released
    return f"Rolled version {current.model_version} back to {released.model_version}."


def _untold(
    catalog: Catalog, model_name: str, after_id: int
) -> tuple[list[dg.AssetMaterialization], int]:
    """Return the releases not reported to Dagster yet, and the id of the last one."""
    with catalog.begin() as session:
        releases = releases_without_run(session, model_name, after_id)
        if not releases:
            return [], after_id
        told = [_materialization(release, event_of(session, release)) for release in releases]
    return told, releases[-1].release_id


def _materialization(release: Release, event: ReleaseEvent | None) -> dg.AssetMaterialization:
    metadata: dict[str, Any] = {
        "model_version": release.model_version,
        "previous_version": release.previous_version,
        "released_at": release.released_at.isoformat(),
        "release_id": release.release_id,
    }
    if event is not None:
        metadata |= {"outcome": event.action, "actor": event.actor, "reason": event.reason}
    return dg.AssetMaterialization("model_release", metadata=metadata)
