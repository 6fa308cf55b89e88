"""Measures the pipeline itself: waiting messages, ended runs, ticking sensors."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy.orm import Session

from visionops_assets.catalog import outbox
from visionops_assets.catalog.health import Measurement, handled_media
from visionops_assets.errors import LogTruncatedError, ServerUnreachableError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.topic_reader import TopicReader

RUNS_WITHIN = timedelta(days=1)
QUARANTINED_WITHIN = timedelta(hours=1)
RUN_STATUSES = {
    "success": [dg.DagsterRunStatus.SUCCESS],
    "failure": [dg.DagsterRunStatus.FAILURE],
    "canceled": [dg.DagsterRunStatus.CANCELED],
    "unfinished": [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
}
_BROKER = "kafka"
_END_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Tick:
    """The newest evaluation of a running sensor."""

    sensor: str
    at_s: float
    failed: bool


def measure_queue(
    broker: Broker, topics: Sequence[str], taken: dict[tuple[str, int], int]
) -> list[Measurement]:
    """Count the messages of each topic partition that were not taken yet.

    `taken` are the offsets after the last message taken, by topic and partition.
    """
    try:
        with broker.reader() as reader:
            lags = [lag for topic in topics for lag in _lags(reader, topic, taken)]
    except ServerUnreachableError:
        return [Measurement("up", {"server": _BROKER}, 0, "")]
    return [Measurement("up", {"server": _BROKER}, 1, ""), *lags]


def _lags(reader: TopicReader, topic: str, taken: dict[tuple[str, int], int]) -> list[Measurement]:
    """Measure the partitions of a topic. What one that cannot be read lacks is not known."""
    lags, _ = reader.of_each_partition(
        topic, lambda partition: _lag(reader, topic, partition, taken.get((topic, partition)))
    )
    return [
        Measurement("consumer_lag", {"topic": topic, "partition": str(partition)}, lag, "messages")
        for partition, lag in lags.items()
    ]


def _lag(reader: TopicReader, topic: str, partition: int, taken: int | None) -> int:
    """Count the messages after `taken`; all messages if none was taken."""
    start = reader.beginning(topic, partition) if taken is None else taken
    try:
        return reader.end(topic, partition, start, _END_TIMEOUT_S) - start
    except LogTruncatedError:
        # The topic was replaced: all messages of the new one wait.
        start = reader.beginning(topic, partition)
        return reader.end(topic, partition, start, _END_TIMEOUT_S) - start


def measure_catalog(session: Session) -> Iterator[Measurement]:
    """Measure counts of the catalog: events owed to the queue, media in quarantine."""
    owed = outbox.backlog(session)
    yield Measurement("outbox_events", {}, owed.events, "events")
    yield Measurement("outbox_age", {}, owed.oldest_age_s, "s")
    handled = handled_media(session, QUARANTINED_WITHIN)
    yield Measurement("quarantine_rate", {}, handled.quarantine_rate, "ratio")
    yield Measurement("media_handled", {}, handled.media, "files")


def measure_runs(instance: dg.DagsterInstance, jobs: Collection[str]) -> Iterator[Measurement]:
    """Count the runs of the last day, by job and status, including zeros."""
    since = datetime.now(UTC) - RUNS_WITHIN
    for job in sorted(jobs):
        for status, statuses in RUN_STATUSES.items():
            runs = dg.RunsFilter(job_name=job, statuses=statuses, created_after=since)
            labels = {"job": job, "status": status}
            yield Measurement("pipeline_runs", labels, instance.get_runs_count(runs), "runs")


def measure_sensors(
    instance: dg.DagsterInstance, sensors: Collection[str]
) -> Iterator[Measurement]:
    """Measure for each running sensor the age of its newest evaluation, and whether that failed."""
    now_s = time.time()
    for tick in _newest_ticks(instance, sensors):
        labels = {"sensor": tick.sensor}
        yield Measurement("sensor_age_seconds", labels, max(0.0, now_s - tick.at_s), "s")
        yield Measurement("sensor_failing", labels, float(tick.failed), "")


def _newest_ticks(instance: dg.DagsterInstance, sensors: Collection[str]) -> list[Tick]:
    newest: dict[str, Tick] = {}
    for state in instance.all_instigator_state():
        # The storage also remembers sensors that the code no longer has, and schedules.
        if state.instigator_name not in sensors or not state.is_running:
            continue
        for found in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1):
            tick = Tick(state.instigator_name, found.timestamp, found.status.value == "FAILURE")
            known = newest.get(tick.sensor)
            if known is None or tick.at_s > known.at_s:
                newest[tick.sensor] = tick
    return [newest[name] for name in sorted(newest)]
