"""Queries on verdicts and releases: what the gate said, which version is champion.

Both tables only grow: the newest row counts.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Release, Verdict
from visionops_assets.contracts import GateVerdict

# Any number that no other lock in this database takes as its first key.
_LOCK_SPACE = 7_105


def add_verdict(session: Session, verdict: GateVerdict, dagster_run_id: str) -> Verdict:
    """Add what the gate decided about a candidate."""
    row = Verdict(
        model_name=verdict.model_name,
        model_version=verdict.model_version,
        passed=verdict.passed,
        verdict=verdict.model_dump(mode="json"),
        dagster_run_id=dagster_run_id,
    )
    session.add(row)
    session.flush()
    return row


def newest_verdict(session: Session, model_name: str, model_version: int) -> GateVerdict | None:
    """Return the last thing the gate said about a version, or None when it said nothing."""
    query = (
        select(Verdict.verdict)
        .where(Verdict.model_name == model_name, Verdict.model_version == model_version)
        .order_by(Verdict.verdict_id.desc())
        .limit(1)
    )
    found = session.scalar(query)
    return GateVerdict.model_validate(found) if found is not None else None


def was_refused(session: Session, snapshot_id: str) -> bool:
    """Whether the newest verdict on a model of this snapshot is a refusal."""
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
    """Return the last release of one version, or None when it never was champion."""
    query = (
        select(Release)
        .where(Release.model_name == model_name, Release.model_version == model_version)
        .order_by(Release.release_id.desc())
        .limit(1)
    )
    return session.scalar(query)


def add_release(session: Session, release: Release) -> Release:
    """Add a promotion; on return it has its id and time."""
    session.add(release)
    session.flush()
    session.refresh(release)
    return release


def lock_releases(session: Session, model_name: str) -> None:
    """Wait until no other transaction releases this model; held to the end of this one."""
    session.execute(
        select(func.pg_advisory_xact_lock(_LOCK_SPACE, func.hashtext(model_name)))
    ).one()


def try_lock_releases(session: Session, model_name: str) -> bool:
    """Take the lock of `lock_releases` if it is free, and say whether it was."""
    query = select(func.pg_try_advisory_xact_lock(_LOCK_SPACE, func.hashtext(model_name)))
    return bool(session.scalar(query))
