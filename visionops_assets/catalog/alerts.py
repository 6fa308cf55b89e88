"""Notes, counts and finds the alerts that Alertmanager reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Alert

TOLD_WITHIN = timedelta(hours=12)
"""Alertmanager repeats a firing alert every `repeat_interval`, four hours. After a longer silence
it has lost the alert, and will never report its end."""


@dataclass(frozen=True)
class ToldAlert:
    """An alert as it was reported; `ends_at` is None while it fires.

    `fingerprint` is Alertmanager's hash of the labels; together with `starts_at` it names one
    time that the alert fired.
    """

    fingerprint: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None


def note_alerts(session: Session, told: Sequence[ToldAlert]) -> None:
    """Note alerts; for a known one the newest report counts.

    Alertmanager reports one alert in order, and repeats until it gets an answer.
    """
    rows = {(alert.fingerprint, alert.starts_at): vars(alert) for alert in told}
    if not rows:
        return
    statement = insert(Alert)
    told_again = {name: statement.excluded[name] for name in ("labels", "annotations", "ends_at")}
    statement = statement.on_conflict_do_update(
        index_elements=[Alert.fingerprint, Alert.starts_at],
        set_=told_again | {"received_at": func.now()},
    )
    session.execute(statement, list(rows.values()))


def firing_alerts(session: Session) -> Sequence[Alert]:
    """Return the alerts that fire, oldest first."""
    return session.scalars(select(Alert).where(*_fires()).order_by(Alert.alert_id)).all()


def count_firing(session: Session) -> int:
    """Count the alerts that fire."""
    query = select(func.count()).select_from(Alert).where(*_fires())
    return session.execute(query).scalar_one()


def _fires() -> tuple[ColumnElement[bool], ...]:
    return Alert.ends_at.is_(None), Alert.received_at > func.now() - TOLD_WITHIN
