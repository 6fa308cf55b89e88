"""Reads what a run left: the catalog, the objects, the queue, and the recorded predictions."""

import json
import time
from uuid import UUID

from sqlalchemy import func, select

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media, Outbox
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.broker import Broker

POLL_S = 0.5


def unfinished() -> dict[str, int]:
    """Count what is still under way, without what is nil."""
    with Catalog().begin() as session:
        owed = select(func.count()).where(Outbox.published_at.is_(None))
        receiving = select(func.count()).where(Media.status == MediaStatus.RECEIVING)
        counts = {
            "in the outbox": session.scalar(owed) or 0,
            "receiving": session.scalar(receiving) or 0,
        }
    return {what: count for what, count in counts.items() if count}


def await_rest(within_s: float) -> dict[str, int]:
    """Wait until nothing is under way, or so long; return what still is."""
    deadline = time.monotonic() + within_s
    while (left := unfinished()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def longest_announcement_s() -> float:
    """Return the longest time from an upload's acknowledgement to its event in the queue."""
    with Catalog().begin() as session:
        waited = func.extract("epoch", func.max(Outbox.published_at - Outbox.created_at))
        return float(session.scalar(select(waited)) or 0.0)


def recorded_predictions(topic: str) -> list[UUID]:
    """Return the ids of all predictions in the queue, as often as they are there."""
    with Broker().reader() as reader:
        return [UUID(json.loads(m.value)["prediction_id"]) for m in reader.read_all(topic)]


def await_recorded(topic: str, wanted: set[UUID], within_s: float) -> list[UUID]:
    """Return the recorded predictions once all `wanted` are among them, or after so long."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            recorded = recorded_predictions(topic)
        except ServerUnreachableError:
            recorded = []
        if wanted <= set(recorded) or time.monotonic() > deadline:
            return recorded
        time.sleep(POLL_S)
