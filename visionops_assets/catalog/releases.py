"""Queries on verdicts, releases and their audit.

The tables only grow: the newest row counts.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from visionops_assets.catalog.locks import Lock, hold, try_to_hold
from visionops_assets.catalog.schema import Release, ReleaseEvent, Verdict
from visionops_assets.contracts import GateVerdict


class Action(StrEnum):
    """The actions in the audit, done or refused."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    FAILED = "failed"
    CANARY_STARTED = "canary_started"
    SHADOW_STARTED = "shadow_started"
    ROLLOUT_PROMOTED = "rollout_promoted"
    ROLLOUT_ENDED = "rollout_ended"
    ENGINE_SERVED = "engine_served"
    ENGINE_REFUSED = "engine_refused"


def add_verdict(session: Session, verdict: GateVerdict, dagster_run_id: str) -> Verdict:
    """Add the gate's verdict on a candidate."""
    row = Verdict(
        model_name=verdict.model_name,
        model_version=verdict.model_version,
        passed=verdict.passed,
        state=verdict.state.value,
        verdict=verdict.model_dump(mode="json"),
        dagster_run_id=dagster_run_id,
    )
    session.add(row)
    session.flush()
    return row


def newest_verdict(session: Session, model_name: str, model_version: int) -> GateVerdict | None:
    """Return the newest verdict on a version, or None without one."""
    query = (
        select(Verdict.verdict)
        .where(Verdict.model_name == model_name, Verdict.model_version == model_version)
        .order_by(Verdict.verdict_id.desc())
        .limit(1)
    )
    found = session.scalar(query)
    return GateVerdict.model_validate(found) if found is not None else None


def verdict_of_run(session: Session, dagster_run_id: str) -> GateVerdict | None:
    """Return the verdict of a Dagster run, or None without one."""
    query = (
        select(Verdict.verdict)
        .where(Verdict.dagster_run_id == dagster_run_id)
        .order_by(Verdict.verdict_id.desc())
        .limit(1)
    )
    found = session.scalar(query)
    return GateVerdict.model_validate(found) if found is not None else None


def was_refused(session: Session, snapshot_id: str) -> bool:
    """Say whether the newest verdict on a model of this snapshot is not a pass.

    Undecided counts: another model of the same snapshot would meet the same holdout.
    """
    query = (
        select(Verdict.passed)
        .where(Verdict.verdict["snapshot_id"].astext == snapshot_id)
        .order_by(Verdict.verdict_id.desc())
        .limit(1)
    )
    return session.scalar(query) is False


def champion(session: Session, model_name: str) -> Release | None:
    """Return the newest release of a model: the version that must be serving."""
    query = (
        select(Release)
        .where(Release.model_name == model_name)
        .order_by(Release.release_id.desc())
        .limit(1)
    )
    return session.scalar(query)


def newest_release(session: Session, model_name: str, model_version: int) -> Release | None:
    """Return the newest release of one version, or None if it never was champion."""
    query = (
        select(Release)
        .where(Release.model_name == model_name, Release.model_version == model_version)
        .order_by(Release.release_id.desc())
        .limit(1)
    )
    return session.scalar(query)


def version_before(session: Session, model_name: str, model_version: int) -> int | None:
    """Return the release before the first one of a version: a rollback goes there."""
    query = (
        select(Release.previous_version)
        .where(Release.model_name == model_name, Release.model_version == model_version)
        .order_by(Release.release_id)
        .limit(1)
    )
    return session.scalar(query)


def releases_without_run(session: Session, model_name: str, after_id: int) -> Sequence[Release]:
    """Return the releases that no Dagster run made, past a release id, oldest first."""
    query = (
        select(Release)
        .where(
            Release.model_name == model_name,
            Release.release_id > after_id,
            Release.dagster_run_id.is_(None),
        )
        .order_by(Release.release_id)
    )
    return session.scalars(query).all()


def add_release(session: Session, release: Release) -> Release:
    """Add a promotion; on return it has its id and time."""
    session.add(release)
    session.flush()
    session.refresh(release)
    return release


def add_event(
    session: Session,
    *,
    model_name: str,
    model_version: int,
    action: Action,
    actor: str,
    reason: str,
    verdict: dict[str, Any] | None = None,
) -> ReleaseEvent:
    """Add one line to the audit; on return it has its id and time."""
    event = ReleaseEvent(
        model_name=model_name,
        model_version=model_version,
        action=action.value,
        actor=actor,
        reason=reason,
        verdict=verdict,
    )
    session.add(event)
    session.flush()
    session.refresh(event)
    return event


def newest_events(session: Session, model_name: str, limit: int) -> Sequence[ReleaseEvent]:
    """Return the newest lines of a model's audit, newest first."""
    query = (
        select(ReleaseEvent)
        .where(ReleaseEvent.model_name == model_name)
        .order_by(ReleaseEvent.event_id.desc())
        .limit(limit)
    )
    return session.scalars(query).all()


def event_of(session: Session, release: Release) -> ReleaseEvent | None:
    """Return the audit line of a release: one transaction wrote both, with one time."""
    query = select(ReleaseEvent).where(
        ReleaseEvent.model_name == release.model_name,
        ReleaseEvent.model_version == release.model_version,
        ReleaseEvent.action.in_([Action.PROMOTED, Action.ROLLED_BACK]),
        ReleaseEvent.happened_at == release.released_at,
    )
    return session.scalar(query.limit(1))


def lock_releases(session: Session, model_name: str) -> None:
    """Lock the releases of this model, once no other transaction does, until this one ends."""
    hold(session, Lock.RELEASES, model_name)


def try_lock_releases(session: Session, model_name: str) -> bool:
    """Take the lock of `lock_releases` if it is free, and say whether it was."""
    return try_to_hold(session, Lock.RELEASES, model_name)


def try_lock_lineage(session: Session, model_name: str) -> bool:
    """Become the only one that tells Dagster of this model's releases, until the transaction ends.

    Return False if another does.
    """
    return try_to_hold(session, Lock.LINEAGE, model_name)
