"""Media, frames, labels, snapshots, and events owed to the queue."""

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog import damage, logs, media, outbox, quarantine, sweeping
from visionops_assets.catalog.labels import stands
from visionops_assets.catalog.schema import AnnotationRow, Snapshot
from visionops_assets.contracts import MediaStatus
from visionops_assets.services.exporter.families import gauge, gauges
from visionops_assets.settings import Settings

WITHIN = timedelta(days=1)


def media_metrics(session: Session, settings: Settings) -> Iterator[Metric]:
    """Read the figures of media, and of all that is made of them."""
    # A status without media has a series, too: a series that begins with 1 has no increase.
    statuses = dict.fromkeys(MediaStatus, 0) | media.count_by_status(session)
    samples = [((status.value,), count) for status, count in statuses.items()]
    yield gauges("media", "Media files by status.", ["status"], samples)
    frames = media.count_frames(session)
    labels = session.scalar(select(func.count()).select_from(AnnotationRow).where(stands())) or 0
    snapshots = session.scalar(select(func.count()).select_from(Snapshot)) or 0
    owed = outbox.backlog(session)
    yield from _queue_metrics(session, settings)
    yield gauge("frames", "Processed frames.", frames)
    yield gauge("labels", "Labels, of media and of predictions.", labels)
    yield gauge(
        "shards_damaged",
        "Shards found damaged within a day, or whose frames are not made again yet.",
        damage.count_damaged_shards(session),
    )
    yield gauge("snapshots", "Dataset snapshots.", snapshots)
    yield gauge("outbox_unpublished", "Events owed to the queue.", owed.events)
    yield gauge(
        "outbox_oldest_age_seconds",
        "Age of the oldest event owed to the queue.",
        owed.oldest_age_s,
    )
    yield from _waiting_metrics(session, settings)


def _queue_metrics(session: Session, settings: Settings) -> Iterator[Metric]:
    topics = (settings.kafka_media_topic, settings.kafka_predictions_topic)
    letters = outbox.count_dead_letters(session, settings.kafka_dead_letter_topic, WITHIN)
    for name, documentation, counts in (
        ("dead_letters", "Messages of a topic that became dead letters within a day.", letters),
        ("log_cuts", "Times that a topic lost messages, within a day.", logs.count_cuts(session)),
    ):
        samples = [((topic,), counts.get(topic, 0)) for topic in topics]
        yield gauges(name, documentation, ["topic"], samples)


def _waiting_metrics(session: Session, settings: Settings) -> Iterator[Metric]:
    waiting = sweeping.waiting(session, timedelta(seconds=settings.announce_again_after_s))
    yield gauge(
        "uploads_expired",
        "Uploads whose lease ran out, for the sweep to clear away.",
        waiting.expired_uploads,
    )
    yield gauge(
        "resumable_uploads_expired",
        "Resumable uploads that nobody went on with, for the sweep to clear away.",
        waiting.expired_resumables,
    )
    yield gauge(
        "media_untaken",
        "Media stored so long ago that their events should have been taken from the queue.",
        waiting.untaken_media,
    )
    reasons = quarantine.count_by_code(session).items()
    samples = [((code,), count) for code, count in reasons]
    yield gauges("media_quarantined", "Media in quarantine by reason.", ["code"], samples)
