"""Decisions of the retrain arbiter, and the results of those to retrain.

The table only grows. Nothing marks a retraining as done: its result is read from the snapshots,
verdicts, rollouts and releases that came after, so that no crash can leave it open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.locks import Lock, hold
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import Decision, Release, RolloutRow, Snapshot, Verdict
from visionops_assets.contracts import GateState, Outcome


@dataclass(frozen=True)
class Retraining:
    """How far the newest decision to retrain has come.

    `snapshot_id` names the snapshot that answers it, None before it is cut. `came_to` says how it
    ended, None while it is in flight. `age_s` is by the database's clock.
    """

    decision: Decision
    snapshot_id: str | None
    came_to: str | None
    age_s: float

    @property
    def stage(self) -> str:
        """Say what a retraining in flight waits for."""
        if self.snapshot_id is None:
            return "a snapshot is awaited"
        return f"a model of {self.snapshot_id} is trained or tried"


def lock_decisions(session: Session, model_name: str) -> None:
    """Wait until no other transaction decides about this model; exclude others until the end."""
    hold(session, Lock.DECISIONS, model_name)


def add_decision(
    session: Session,
    release: Release,
    *,
    outcome: Outcome,
    reason: str,
    evidence: dict[str, Any],
    dagster_run_id: str,
) -> Decision:
    """Add a decision about a release; on return it has its id and time."""
    row = Decision(
        model_name=release.model_name,
        model_version=release.model_version,
        release_id=release.release_id,
        outcome=outcome.value,
        reason=reason,
        evidence=evidence,
        dagster_run_id=dagster_run_id,
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def newest_decisions(
    session: Session,
    *,
    limit: int,
    model_name: str | None = None,
    outcome: Outcome | None = None,
) -> Sequence[Decision]:
    """Return the last decisions, newest first: all, or those of one model or outcome."""
    query = select(Decision).order_by(Decision.decision_id.desc()).limit(limit)
    if model_name is not None:
        query = query.where(Decision.model_name == model_name)
    if outcome is not None:
        query = query.where(Decision.outcome == outcome.value)
    return session.scalars(query).all()


def newest_decision(
    session: Session, model_name: str, outcome: Outcome | None = None
) -> Decision | None:
    """Return the newest decision about a model, of any outcome or of one."""
    found = newest_decisions(session, limit=1, model_name=model_name, outcome=outcome)
    return found[0] if found else None


def waits_to_retrain(decision: Decision) -> bool:
    """Say whether the alarm was raised and a guard stopped the retraining."""
    waits = decision.outcome in (Outcome.WAIT, Outcome.ASK_FOR_LABELS)
    return waits and decision.evidence["alarm_at"] is not None


def may_decide_anew(decision: Decision, new_frames: int, at: datetime) -> bool:
    """Say whether a waiting retraining may begin, though no prediction or label has come since.

    Frames of labelled predictions may come after the decision that found too few; a cooldown ends
    by itself.
    """
    if not waits_to_retrain(decision):
        return False
    evidence = decision.evidence
    look_again_at = evidence["look_again_at"]
    is_over = look_again_at is not None and datetime.fromisoformat(look_again_at) <= at
    least = evidence["rule"]["min_new_labels"]
    has_enough = evidence["retraining"]["new_frames"] < least <= new_frames
    return is_over or has_enough


def newest_retraining(session: Session, model_name: str, max_s: float) -> Retraining | None:
    """Say how far the newest decision to retrain a model has come; None if there never was one.

    It ends when the champion changes, when the gate does not pass its model, when that model's
    rollout ends, or after `max_s`.
    """
    decision = newest_decision(session, model_name, Outcome.RETRAIN)
    if decision is None:
        return None
    age = select(func.extract("epoch", func.clock_timestamp() - Decision.decided_at))
    age_s = float(session.scalars(age.where(Decision.decision_id == decision.decision_id)).one())
    snapshot = _answer_to(session, decision)
    snapshot_id = snapshot.snapshot_id if snapshot else None
    came_to = _end_of(session, decision, snapshot_id)
    if came_to is None and age_s > max_s and active_rollout(session, model_name) is None:
        came_to = f"it was given up after {max_s:.0f} s"
    return Retraining(decision, snapshot_id, came_to, age_s)


def count_retrain_decisions(session: Session, release: Release) -> int:
    """Count the decisions to retrain the model while a release was the newest.

    If that release is still the newest, none of them led to a new champion, except for one in
    flight.
    """
    query = select(func.count()).where(
        Decision.release_id == release.release_id, Decision.outcome == Outcome.RETRAIN.value
    )
    return session.scalar(query) or 0


def decision_answered_by(session: Session, model_name: str, snapshot: Snapshot) -> Decision | None:
    """Return the decision to retrain that a snapshot answers, as the first one after it, or None.

    The result never changes: a run that is tried again finds the same as the first attempt.
    """
    before = (
        select(func.max(Snapshot.watermark))
        .where(Snapshot.model_name == model_name, Snapshot.watermark < snapshot.watermark)
        .scalar_subquery()
    )
    query = (
        select(Decision)
        .where(
            Decision.model_name == model_name,
            Decision.outcome == Outcome.RETRAIN.value,
            Decision.decided_at < snapshot.watermark,
            Decision.decided_at >= func.coalesce(before, Decision.decided_at),
        )
        .order_by(Decision.decision_id.desc())
        .limit(1)
    )
    return session.scalar(query)


def _answer_to(session: Session, decision: Decision) -> Snapshot | None:
    """Return the first snapshot whose watermark is past a decision."""
    query = (
        select(Snapshot)
        .where(
            Snapshot.model_name == decision.model_name,
            Snapshot.watermark > decision.decided_at,
        )
        .order_by(Snapshot.watermark)
        .limit(1)
    )
    return session.scalar(query)


def _end_of(session: Session, decision: Decision, snapshot_id: str | None) -> str | None:
    """Say how a retraining ended, as the catalog tells it, or None."""
    current = champion(session, decision.model_name)
    if current is not None and current.release_id != decision.release_id:
        return f"version {current.model_version} was released"
    if snapshot_id is None:
        return None
    of_snapshot = (
        Verdict.model_name == decision.model_name,
        Verdict.verdict["snapshot_id"].astext == snapshot_id,
    )
    newest = select(Verdict).where(*of_snapshot).order_by(Verdict.verdict_id.desc()).limit(1)
    verdict = session.scalar(newest)
    if verdict is not None and not verdict.passed:
        said = "could not decide on" if verdict.state == GateState.UNDECIDED else "refused"
        return f"the gate {said} version {verdict.model_version}"
    tried = select(RolloutRow.model_version).where(
        RolloutRow.model_name == decision.model_name,
        RolloutRow.model_version.in_(select(Verdict.model_version).where(*of_snapshot)),
        RolloutRow.ended_at.is_not(None),
    )
    version = session.scalar(tried.order_by(RolloutRow.rollout_id.desc()).limit(1))
    return None if version is None else f"the rollout of version {version} ended without a release"
