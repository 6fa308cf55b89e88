"""Reads a model's standing: its judged versions, their parts, what the next one waits for."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import count_by_label, label_backlog, newest_snapshot
from visionops_assets.catalog.next_steps import ModelStanding, Part, VersionStanding
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import Release, RolloutRow, Snapshot, Verdict
from visionops_assets.contracts import GateVerdict
from visionops_assets.models import ModelDeclaration


def model_standing(session: Session, model: ModelDeclaration) -> ModelStanding:
    """Read a model's standing. The newest verdict on a version counts."""
    model_name = model.name
    current = champion(session, model_name)
    snapshot = newest_snapshot(session, model.name)
    versions = _versions(session, model_name, current.model_version if current else None)
    judged = {found.verdict.snapshot_id for found in versions}
    waiting = snapshot is not None and snapshot.snapshot_id not in judged
    return ModelStanding(
        model_name=model_name,
        champion_version=current.model_version if current else None,
        versions=versions,
        waiting_snapshot_id=snapshot.snapshot_id if snapshot and waiting else None,
        labelled_frames=label_backlog(session, model).new_frames,
        frames_per_class=model.snapshots.groups_per_class,
        holdout_percent=model.snapshots.holdout_percent,
        left_out=_left_out(session, model, snapshot),
    )


def _left_out(
    session: Session, model: ModelDeclaration, snapshot: Snapshot | None
) -> dict[str, int]:
    if snapshot is None or not snapshot.left_out_frames:
        return {}
    counts = count_by_label(session, model)
    return {name: count for name, count in counts.items() if name not in snapshot.classes}


def _versions(
    session: Session, model_name: str, champion_version: int | None
) -> tuple[VersionStanding, ...]:
    newest = (
        select(Verdict)
        .where(Verdict.model_name == model_name)
        .ext(distinct_on(Verdict.model_version))
        .order_by(Verdict.model_version.desc(), Verdict.verdict_id.desc())
    )
    rows = session.scalars(newest).all()
    parts = _parts(session, model_name, champion_version)
    ids = {row.verdict["snapshot_id"] for row in rows}
    snapshots = {
        found.snapshot_id: found
        for found in session.scalars(select(Snapshot).where(Snapshot.snapshot_id.in_(ids)))
    }
    return tuple(
        _version(row, parts.get(row.model_version, Part.NEVER_RELEASED), snapshots) for row in rows
    )


def _version(row: Verdict, part: Part, snapshots: dict[str, Snapshot]) -> VersionStanding:
    verdict = GateVerdict.model_validate(row.verdict)
    snapshot = snapshots.get(verdict.snapshot_id)
    return VersionStanding(
        verdict=verdict,
        decided_at=row.decided_at,
        dagster_run_id=row.dagster_run_id,
        part=part,
        train_frames=snapshot.train_frames if snapshot else None,
        holdout_frames=snapshot.holdout_frames if snapshot else None,
        classes=tuple(snapshot.classes) if snapshot else (),
    )


def _parts(session: Session, model_name: str, champion_version: int | None) -> dict[int, Part]:
    """Return the part of each version that has or had one; a later entry replaces earlier ones."""
    tried = select(RolloutRow.model_version).where(RolloutRow.model_name == model_name)
    released = select(Release.model_version).where(Release.model_name == model_name)
    parts = dict.fromkeys(session.scalars(tried), Part.TRIED_BEFORE)
    parts |= dict.fromkeys(session.scalars(released), Part.RELEASED_BEFORE)
    rollout = active_rollout(session, model_name)
    if rollout is not None:
        parts[rollout.model_version] = Part(rollout.role.value)
    if champion_version is not None:
        parts[champion_version] = Part.CHAMPION
    return parts
