"""The sweep: finishes or removes the remains of crashes, so that nothing is lost or left over.

`python -m visionops_assets.services.sweep`. Several may run. Objects are deleted before the rows
that name them: an object without a row would stay for ever.
"""

import logging
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from uuid import UUID

from visionops_assets.catalog import sweeping
from visionops_assets.catalog.connection import Catalog
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.multipart import abort_unfinished
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.logs import configure_logging
from visionops_assets.settings import Settings, load_settings

PAGE_ROWS = 200
PARTS_PREFIX = "uploads"
STREAM_EXPIRY = timedelta(days=1)
STREAM_INTERVAL_S = 3_600.0

_log = logging.getLogger("visionops_assets.services.sweep")


class Sweep:
    """Passes over catalog and object store; one object per process."""

    def __init__(self, settings: Settings, catalog: Catalog, store: ObjectStore) -> None:
        self._settings = settings
        self._catalog = catalog
        self._store = store
        self._streams_at_s = time.monotonic()

    def run(self, heartbeat: Heartbeat, stop: Event) -> None:
        """Pass every `sweep_interval_s` until `stop` is set."""
        while not stop.is_set():
            heartbeat.beat()
            done, failures = self.run_once()
            for failure in failures:
                _log.warning("left to the next pass: %s", failure)
            if any(done.values()):
                _log.info("swept", extra={"fields": done})
            stop.wait(self._settings.sweep_interval_s)

    def run_once(self) -> tuple[dict[str, int], list[ServerUnreachableError]]:
        """Do every task once. A task whose server is down is left to the next pass.

        Returns:
            The amounts done, by task, and the tasks left, with the reasons.
        """
        tasks: dict[str, Callable[[], int]] = {
            "uploads_given_up": self._give_up_uploads,
            "events_announced_again": self._announce_again,
            "resumable_uploads_expired": self._expire_resumables,
            "resumable_parts_deleted": self._delete_needless_parts,
            "answers_forgotten": self._forget_answers,
            "streams_aborted": self._abort_streams,
        }
        done: dict[str, int] = {}
        failures: list[ServerUnreachableError] = []
        for name, task in tasks.items():
            try:
                done[name] = task()
            except ServerUnreachableError as error:
                failures.append(error)
        return done, failures

    def _give_up_uploads(self) -> int:
        """Delete the objects of uploads whose lease ran out, and a lease later their rows.

        A slow writer may finish its object after the first deletion. By the second one it has
        noticed that its lease is gone.
        """
        lease = timedelta(seconds=self._settings.upload_lease_s)
        given_up = 0
        while True:
            with self._catalog.begin() as session:
                uploads = sweeping.fence_expired_uploads(session, lease, PAGE_ROWS)
            if not uploads:
                return given_up
            crash_point(CrashPoint.SWEEP_CLAIMED)
            for upload in uploads:
                self._delete_upload(upload)
                given_up += 1

    def _delete_upload(self, upload: sweeping.GivenUpUpload) -> None:
        self._store.delete(upload.object_key)
        crash_point(CrashPoint.SWEEP_OBJECT_DELETED)
        if upload.is_forgettable:
            with self._catalog.begin() as session:
                sweeping.forget_upload(session, upload)

    def _announce_again(self) -> int:
        published_before = timedelta(seconds=self._settings.announce_again_after_s)
        topic = self._settings.kafka_media_topic
        announced = 0
        after: UUID | None = UUID(int=0)
        while after is not None:
            with self._catalog.begin() as session:
                again, after = sweeping.announce_untaken(
                    session, topic, published_before, after, PAGE_ROWS
                )
            announced += again
        return announced

    def _expire_resumables(self) -> int:
        """Delete resumable uploads that nobody continued, each in a transaction of its own."""
        expired = 0
        while True:
            with self._catalog.begin() as session:
                upload_id = sweeping.lock_expired_resumable(session)
                if upload_id is None:
                    return expired
                self._delete_all(self._store.list_keys(f"{PARTS_PREFIX}/{upload_id}"))
                sweeping.forget_resumable(session, upload_id)
            expired += 1

    def _delete_needless_parts(self) -> int:
        """Delete parts of uploads that are complete or gone.

        A row exists before its first part does: parts without a row belong to nobody.
        """
        parts = self._store.list_keys(PARTS_PREFIX)
        with self._catalog.begin() as session:
            needed = {str(upload_id) for upload_id in sweeping.open_resumables(session)}
        needless = [key for key in parts if key.split("/")[1] not in needed]
        return self._delete_all(needless)

    def _delete_all(self, keys: list[str]) -> int:
        for key in keys:
            self._store.delete(key)
        return len(keys)

    def _forget_answers(self) -> int:
        expiry = timedelta(seconds=self._settings.idempotency_expiry_s)
        with self._catalog.begin() as session:
            return sweeping.delete_acknowledgements(session, expiry)

    def _abort_streams(self) -> int:
        if time.monotonic() < self._streams_at_s:
            return 0
        aborted = abort_unfinished(STREAM_EXPIRY)
        self._streams_at_s = time.monotonic() + STREAM_INTERVAL_S
        return aborted


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log.info("sweep started")
    settings = load_settings()
    Sweep(settings, Catalog(), ObjectStore()).run(Heartbeat(settings, "sweep"), stop)
    _log.info("sweep stopped")


if __name__ == "__main__":
    main()
