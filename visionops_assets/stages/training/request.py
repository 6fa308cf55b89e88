"""Requests for a training, and their checks before it runs."""

from typing import get_args

import dagster as dg
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import find_snapshot, newest_snapshot
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.contracts import Network
from visionops_assets.errors import InvalidRequestError, NotFoundError

NETWORKS: tuple[str, ...] = get_args(Network)
MAX_STEPS = 1_000_000
MAX_LEARNING_RATE = 1.0


class TrainingRequest(dg.Config):
    """The snapshot to train on, the newest by default, and changes of the recipe.

    `steps` is the largest number of steps, `learning_rate` the peak of the schedule. A field that
    is left out is taken from the settings. Dagster does not check bounds: `check_request` does.
    With `only_if_newest`, nothing is trained on a snapshot that is no longer the newest.
    """

    snapshot_id: str | None = None
    only_if_newest: bool = False
    steps: int | None = None
    learning_rate: float | None = None
    network: str | None = None


def check_request(request: TrainingRequest) -> None:
    """Refuse values that nothing can be trained with.

    Raises:
        InvalidRequestError: a value is out of its range; the message names the range.
    """
    if request.steps is not None and not 1 <= request.steps <= MAX_STEPS:
        raise InvalidRequestError(f"steps is {request.steps}, and must be from 1 to {MAX_STEPS:,}.")
    rate = request.learning_rate
    if rate is not None and not 0 < rate <= MAX_LEARNING_RATE:
        raise InvalidRequestError(
            f"learning_rate is {rate:g}, and must be above 0 and at most {MAX_LEARNING_RATE:g}."
        )
    if request.network is not None and request.network not in NETWORKS:
        raise InvalidRequestError(
            f"There is no network {request.network!r}: choose one of {', '.join(NETWORKS)}."
        )


def newer_snapshot(session: Session, request: TrainingRequest) -> Snapshot | None:
    """Return the snapshot that came after the one asked for, if that is to be the newest."""
    newest = newest_snapshot(session)
    is_asked_for = newest is None or newest.snapshot_id == request.snapshot_id
    return newest if request.only_if_newest and not is_asked_for else None


def wanted_snapshot(session: Session, snapshot_id: str | None) -> Snapshot:
    """Return the snapshot of an id, or the newest one for None.

    Raises:
        NotFoundError: it does not exist.
    """
    newest = newest_snapshot(session)
    if newest is None:
        raise NotFoundError("There is no snapshot to train on yet: label some media first.")
    snapshot = newest if snapshot_id is None else find_snapshot(session, snapshot_id)
    if snapshot is None:
        raise NotFoundError(
            f"There is no snapshot {snapshot_id!r}; the newest is {newest.snapshot_id!r}."
        )
    return snapshot
