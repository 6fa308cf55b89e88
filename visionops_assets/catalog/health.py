"""Measurements of the servers and of the pipeline, and counts from the catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.logs import generation_of, topic_of
from visionops_assets.catalog.schema import HealthWindow, Media, MediaBatch, TopicPosition
from visionops_assets.contracts import MediaStatus

KEEP_WINDOWS = timedelta(days=30)


@dataclass(frozen=True)
class Measurement:
    """One measured number, with its server, topic, job or sensor, and its unit."""

    name: str
    labels: Mapping[str, str]
    value: float
    unit: str


@dataclass(frozen=True)
class Handled:
    """Media that were handled within some time, and how many of them went into quarantine."""

    media: int
    quarantined: int

    @property
    def quarantine_rate(self) -> float:
        """Return the share that went into quarantine; 0 without media."""
        return self.quarantined / self.media if self.media else 0.0


def add_health(session: Session, measurements: Sequence[Measurement]) -> None:
    """Note measurements as one window, and forget windows older than `KEEP_WINDOWS`."""
    session.add(HealthWindow(measurements=[asdict(found) for found in measurements]))
    before = datetime.now(UTC) - KEEP_WINDOWS
    session.execute(delete(HealthWindow).where(HealthWindow.measured_at < before))


def health_windows(session: Session, limit: int) -> list[HealthWindow]:
    """Return the newest windows, in the order of time."""
    query = select(HealthWindow).order_by(HealthWindow.window_id.desc()).limit(limit)
    return list(session.scalars(query))[::-1]


def handled_media(session: Session, within: timedelta) -> Handled:
    """Count the media that were processed or quarantined within this time."""
    is_quarantined = Media.status == MediaStatus.QUARANTINED
    query = select(func.count(), func.count().filter(is_quarantined)).where(
        Media.processed_at > datetime.now(UTC) - within
    )
    return Handled(*session.execute(query).one())


def taken_offsets(session: Session) -> dict[tuple[str, int], int]:
    """Return the offset after the last message taken, by topic and partition.

    Media are taken in batches, predictions one after another. Of a topic partition whose log was
    replaced, it is that of the newest log.
    """
    group = (MediaBatch.topic, MediaBatch.topic_partition)
    batches = select(*group, func.max(MediaBatch.end_offset)).group_by(*group)
    positions = select(
        TopicPosition.topic, TopicPosition.topic_partition, TopicPosition.next_offset
    )
    rows = [*session.execute(batches), *session.execute(positions)]
    rows.sort(key=lambda row: generation_of(row[0]))
    return {(topic_of(log), partition): offset for log, partition, offset in rows}
