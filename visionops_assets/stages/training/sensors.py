"""Starts training on the newest snapshot, if it has no model or no verdict of its own.

The model of a snapshot that answers a decision to retrain is tried on a share of the traffic before
it is released.
"""

import time
from typing import Any

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import newest_snapshot
from visionops_assets.catalog.decisions import decision_answered_by
from visionops_assets.catalog.releases import champion, was_refused
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.naming import dagster_name
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.stages.attempts import TRAIN_AND_RELEASE, due_attempt, training
from visionops_assets.stages.of_model import AssetJob, name_of, selection_of

SNAPSHOT_TAG = "visionops/snapshot_id"
DECISION_TAG = "visionops/decision_id"


def train_and_release_of(model: ModelDeclaration) -> AssetJob:
    """Define the job that trains a model and releases it."""
    return dg.define_asset_job(
        name_of(model, TRAIN_AND_RELEASE),
        selection=selection_of(
            model, "trained_model", "model_evaluation", "exported_model", "model_release"
        ),
        description=f"Trains {model.name} on a snapshot, and releases it if it passes the gate. "
        f"Started by `{name_of(model, 'new_snapshot')}`, or by hand with "
        f"`visionops train {model.name}`.",
        tags=training(model.name),
    )


def new_snapshot_of(model: ModelDeclaration, train_and_release: AssetJob) -> dg.SensorDefinition:
    """Define the sensor that asks for a model's trainings."""

    @dg.sensor(
        name=name_of(model, "new_snapshot"),
        job=train_and_release,
        description=f"Starts {train_and_release.name} for the newest snapshot, until it has a "
        "model or the gate has refused one. Waits while a canary or shadow is tried.",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @skip_without_servers
    def new_snapshot(
        context: dg.SensorEvaluationContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.SensorResult:
        """Ask for training on the newest snapshot until a run succeeds or the gate has answered.

        While a canary or shadow is tried it waits: the new model would be promoted before that is
        judged. Level-triggered by the catalog: nothing is missed between ticks.
        """
        return _ask(context.instance, catalog, model)

    return new_snapshot


def _ask(
    instance: dg.DagsterInstance, catalog: Catalog, model: ModelDeclaration
) -> dg.SensorResult:
    decision = None
    with catalog.begin() as session:
        snapshot = newest_snapshot(session, model.name)
        refused = snapshot is not None and was_refused(session, snapshot.snapshot_id)
        if snapshot is not None:
            decision = decision_answered_by(session, model.name, snapshot)
        rollout = active_rollout(session, model.name)
        current = champion(session, model.name)
    if snapshot is None:
        return dg.SensorResult(skip_reason="There is no snapshot yet.")
    if refused:
        reason = f"The gate did not pass a model of {snapshot.snapshot_id}."
        return dg.SensorResult(skip_reason=reason)
    if current is not None and current.snapshot_id == snapshot.snapshot_id:
        reason = f"Version {current.model_version}, trained on {snapshot.snapshot_id}, is champion."
        return dg.SensorResult(skip_reason=reason)
    if rollout is not None:
        tried = f"The {rollout.role.value} of version {rollout.model_version}"
        return dg.SensorResult(skip_reason=f"{tried} is under way: its judgement comes first.")
    tags = {SNAPSHOT_TAG: snapshot.snapshot_id}
    attempt = due_attempt(instance, tags, time.time())
    if attempt is None:
        return dg.SensorResult(skip_reason=f"{snapshot.snapshot_id} needs no further run now.")
    request = dg.RunRequest(
        run_key=f"train-{snapshot.snapshot_id}" + (f"-attempt-{attempt}" if attempt else ""),
        run_config=run_config_of(
            model.name, snapshot.snapshot_id, model.retraining.canary_percent if decision else None
        ),
        tags=tags | ({DECISION_TAG: str(decision.decision_id)} if decision else {}),
    )
    return dg.SensorResult(run_requests=[request])


def run_config_of(
    model_name: str, snapshot_id: str, canary_percent: float | None = None
) -> dict[str, Any]:
    """Return a run's configuration: the snapshot, and the share of traffic to try the model on.

    A training without a decision behind it ends at its start if a newer snapshot came meanwhile.
    """
    config: dict[str, Any] = {"snapshot_id": snapshot_id}
    ops: dict[str, Any] = {dagster_name(model_name, "trained_model"): {"config": config}}
    if canary_percent is None:
        config["only_if_newest"] = True
    else:
        ops[dagster_name(model_name, "model_release")] = {
            "config": {"canary_percent": canary_percent}
        }
    return {"ops": ops}
