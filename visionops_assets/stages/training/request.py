"""The snapshot that a training was asked for."""

from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import find_snapshot, newest_snapshot
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.errors import NotFoundError
from visionops_assets.stages.requests import TrainingRequest


def newer_snapshot(session: Session, model_name: str, request: TrainingRequest) -> Snapshot | None:
    """Return the snapshot that came after the one asked for, if that is to be the newest."""
    newest = newest_snapshot(session, model_name)
    is_asked_for = newest is None or newest.snapshot_id == request.snapshot_id
    return newest if request.only_if_newest and not is_asked_for else None


def wanted_snapshot(session: Session, model_name: str, snapshot_id: str | None) -> Snapshot:
    """Return the model's snapshot of an id, or its newest one for None.

    Raises:
        NotFoundError: it does not exist.
    """
    newest = newest_snapshot(session, model_name)
    if newest is None:
        raise NotFoundError("There is no snapshot to train on yet: label some media first.")
    snapshot = newest if snapshot_id is None else find_snapshot(session, snapshot_id)
    if snapshot is None or snapshot.model_name != model_name:
        raise NotFoundError(
            f"{model_name} has no snapshot {snapshot_id!r}; the newest is {newest.snapshot_id!r}."
        )
    return snapshot
