"""`retrain_decision`: the arbiter's decision about the champion, and its labelling batch.

A decision acts through the catalog alone. Sensors of other stages find it there: `retrain` leads to
a snapshot and a training, `roll_back` to a rollback. Each sensor checks that the decision still is
about the champion, so that nothing is done twice or too late.
"""

from datetime import timedelta
from typing import Any

import dagster as dg
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import now
from visionops_assets.catalog.decisions import add_decision, lock_decisions, newest_decision
from visionops_assets.catalog.labelling import close_batches, open_batch
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Decision, Release
from visionops_assets.contracts import Outcome, Purpose
from visionops_assets.models import ModelDeclaration
from visionops_assets.monitoring import arbiter
from visionops_assets.monitoring.asking import choose
from visionops_assets.monitoring.gathering import Gathered, gather
from visionops_assets.resources.columns import rows_of, shown
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import picture, trace_command
from visionops_assets.vision.monitoring_plots import evidence_over_labels

COLUMNS = rows_of(
    Decision,
    {
        "decision_id": "Number of the decision.",
        "model_name": "Name of the model.",
        "model_version": "Champion that it is about.",
        "release_id": "Release by which that became champion.",
        "outcome": "`wait`, `ask_for_labels`, `retrain` or `roll_back`.",
        "reason": "The decision in words.",
        "evidence": "The counts and limits that it was made by.",
        "dagster_run_id": "Run that made it.",
        "decided_at": "When it was made.",
    },
)
NOTHING_DECIDED = dg.DataVersion("INITIAL")
"""As Dagster notes an input that was never materialized: what was made before the first measurement
is not out of date by it."""
DECISION_TAG = "visionops/decision"
"""Tag of the run: its decision, so that the list of runs shows it."""


def retrain_decision_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the decisions about a model."""

    @dg.asset(
        key=key_of(model, "retrain_decision"),
        group_name="monitoring",
        deps=[key_of(model, "model_performance"), key_of(model, "data_drift")],
        metadata=shown(COLUMNS),
        freshness_policy=HOURLY,
        kinds={"postgres"},
        owners=OWNERS,
    )
    @fail_in_words
    def retrain_decision(
        context: dg.AssetExecutionContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.MaterializeResult[None]:
        """Decision of the retrain arbiter: wait, ask for labels, retrain or roll back.

        Each decision is a row of the catalog with its reason and evidence, and never changes.
        Without a champion there is nothing to decide, and no row.
        """
        return _decide_about(context, model, catalog)

    return retrain_decision


def _decide_about(
    context: dg.AssetExecutionContext, model: ModelDeclaration, catalog: Catalog
) -> dg.MaterializeResult[None]:
    with catalog.begin() as session:
        lock_decisions(session, model.name)
        release = champion(session, model.name)
        if release is None:
            reason = f"No version of {model.name} was released yet."
            return dg.MaterializeResult(
                metadata={"outcome": Outcome.WAIT.value, "reason": reason},
                data_version=_data_version(session, model.name),
            )
        closed = close_batches(
            session, model.name, model.labelling.batch_max_age_s, release.model_version
        )
        gathered = gather(session, release, model)
        decision = _decide(session, release, gathered, model, context.run.run_id)
        version = _data_version(session, model.name)
    context.log.info("Decided to %s: %s", decision.outcome.replace("_", " "), decision.reason)
    context.instance.add_run_tags(context.run.run_id, {DECISION_TAG: decision.outcome})
    for batch_id in closed:
        context.log.info("Labelling batch %d was closed", batch_id)
    return dg.MaterializeResult(metadata=_metadata(decision, gathered), data_version=version)


def _decide(
    session: Session, release: Release, gathered: Gathered, model: ModelDeclaration, run_id: str
) -> Decision:
    """Add the decision, and the batch that it opens, in one transaction."""
    decided = arbiter.decide(gathered.facts, arbiter.Rule.of(model, gathered.min_accuracy))
    look_again_at = None
    if decided.look_again_in_s is not None:
        look_again_at = now(session) + timedelta(seconds=decided.look_again_in_s)
    decision = add_decision(
        session,
        release,
        outcome=decided.outcome,
        reason=decided.reason,
        evidence=decided.evidence
        | {"look_again_at": look_again_at.isoformat() if look_again_at else None},
        dagster_run_id=run_id,
    )
    if decided.outcome is Outcome.ASK_FOR_LABELS:
        chosen = choose(gathered.askable, model.labelling.batch_size, decision.decision_id)
        open_batch(session, model.name, Purpose.AUDIT, predictions=chosen, decision=decision)
    return decision


def _data_version(session: Session, model_name: str) -> dg.DataVersion:
    """Return the id of the newest decision that something downstream acts on.

    A decision to wait, or to ask for labels, does not change it, so that Dagster calls no snapshot
    and no release out of date.
    """
    acted_on = (Outcome.RETRAIN, Outcome.ROLL_BACK)
    found = [newest_decision(session, model_name, outcome) for outcome in acted_on]
    newest = max((decision.decision_id for decision in found if decision), default=None)
    return NOTHING_DECIDED if newest is None else dg.DataVersion(f"decision-{newest}")


def _metadata(decision: Decision, gathered: Gathered) -> dict[str, Any]:
    stream = gathered.facts.stream
    metadata: dict[str, Any] = {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "decision_id": decision.decision_id,
        "trace": trace_command("decision", str(decision.decision_id)),
        "model_version": decision.model_version,
        "labels": stream.labels,
        "errors": stream.errors,
        "log_limit": stream.log_limit,
        "evidence": dg.MetadataValue.json(decision.evidence),
    }
    if stream.log_evidence is not None:
        metadata["log_evidence"] = stream.log_evidence
    if stream.labels:
        plot = evidence_over_labels(
            gathered.detected.log_evidence,
            stream.log_limit,
            gathered.errors,
            gathered.min_accuracy,
        )
        metadata["evidence_over_labels"] = picture(plot, "evidence over labels")
    return metadata
