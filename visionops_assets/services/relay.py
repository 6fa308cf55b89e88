"""The relay: carries events from the outbox to the queue, each at least once, oldest first.

`python -m visionops_assets.services.relay`. Several may run: rows are locked while they are
published, and marked in the same transaction. If an event comes twice, consumers drop one by its
id.
"""

import json
import logging
import signal
import time
from datetime import timedelta
from threading import Event

from visionops_assets.catalog import outbox
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Outbox
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import PublishError, ServerUnreachableError
from visionops_assets.resources.broker import Broker, EventProducer, OutgoingEvent
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.logs import configure_logging
from visionops_assets.settings import load_settings

BATCH_EVENTS = 500
# Events wait for others: events that are published together cost the queue one write. Their
# consumer waits longer for a batch to fill.
GATHER_S = 1.0
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 5.0
KEEP_PUBLISHED = timedelta(days=1)
PRUNE_INTERVAL_S = 600.0

_log = logging.getLogger("visionops_assets.services.relay")


def outgoing(row: Outbox) -> OutgoingEvent:
    """Build the message of one outbox row: the payload as compact JSON in UTF-8."""
    value = json.dumps(row.payload, ensure_ascii=False, separators=(",", ":")).encode()
    return OutgoingEvent(row.topic, row.message_key, value, str(row.event_id))


class Relay:
    """Runs until `stop` is set. A publication that has begun is finished first."""

    def __init__(self, catalog: Catalog, broker: Broker, heartbeat: Heartbeat, stop: Event) -> None:
        self._catalog = catalog
        self._broker = broker
        self._heartbeat = heartbeat
        self._stop = stop
        self._backoff_s = FIRST_BACKOFF_S
        self._prune_at_s = time.monotonic()

    def run(self) -> None:
        """Publish; while a server is down, wait and try again: the events stay owed."""
        while not self._stop.is_set():
            self._heartbeat.beat()
            try:
                with self._broker.producer() as producer:
                    self._publish_until_stopped(producer)
            except (PublishError, ServerUnreachableError) as error:
                _log.warning("trying again in %.1f s: %s", self._backoff_s, error)
                self._stop.wait(self._backoff_s)
                self._backoff_s = min(2 * self._backoff_s, MAX_BACKOFF_S)

    def publish_batch(self, producer: EventProducer) -> int:
        """Publish the oldest unpublished events and mark them; return their number.

        Raises:
            PublishError: the queue did not acknowledge them all; all stay unpublished.
            ServerUnreachableError: PostgreSQL does not answer; published events may come again.
        """
        with self._catalog.begin() as session:
            rows = outbox.take_unpublished(session, BATCH_EVENTS)
            if rows:
                producer.publish_all([outgoing(row) for row in rows])
                crash_point(CrashPoint.RELAY_PUBLISHED)
                outbox.mark_published(session, [row.event_id for row in rows])
        if rows:
            crash_point(CrashPoint.RELAY_MARKED)
        return len(rows)

    def _publish_until_stopped(self, producer: EventProducer) -> None:
        while not self._stop.is_set():
            published = self.publish_batch(producer)
            self._heartbeat.beat()
            self._backoff_s = FIRST_BACKOFF_S
            if published:
                _log.info("published %d event(s)", published)
            if time.monotonic() >= self._prune_at_s:
                self._prune()
            if published < BATCH_EVENTS:
                self._stop.wait(GATHER_S)

    def _prune(self) -> None:
        with self._catalog.begin() as session:
            deleted = outbox.delete_published(session, KEEP_PUBLISHED)
        if deleted:
            _log.info("pruned %d published event(s)", deleted)
        self._prune_at_s = time.monotonic() + PRUNE_INTERVAL_S


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log.info("relay started")
    Relay(Catalog(), Broker(), Heartbeat(load_settings(), "relay"), stop).run()
    _log.info("relay stopped")


if __name__ == "__main__":
    main()
