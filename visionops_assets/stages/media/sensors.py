"""Starts batches of new events in the queue, and unfinished batches again."""

import json
import time
from collections.abc import Mapping
from functools import partial

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.logs import topic_of
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import InvalidRequestError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.settings import load_settings
from visionops_assets.stages.attempts import MEDIA, due_attempt
from visionops_assets.stages.log_reading import LogReading
from visionops_assets.stages.media.batching import BatchRule, cut_batches
from visionops_assets.stages.partitions import MEDIA_BATCHES, media_batch, media_batches

MAX_BATCHES_PER_TICK = 4
MAX_RETIRED_PER_TICK = 1_000
PARTITION_TAG = "dagster/partition"

process_media = dg.define_asset_job(
    "process_media",
    selection=dg.AssetSelection.assets("raw_media", "processed_frames"),
    description="Turns one batch of announced media into frames. Started by `media_events`, and "
    "again by `unfinished_batches` if its run died.",
    tags=MEDIA,
)


@dg.sensor(
    job=process_media,
    description="Starts process_media for each batch of new media. By default a batch is full at "
    "4,000 files or 2 GB, and due once its first file has waited 30 s.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def media_events(
    context: dg.SensorEvaluationContext,
    broker: dg.ResourceParam[Broker],
    catalog: dg.ResourceParam[Catalog],
) -> dg.SensorResult:
    """Cut the media topic into batches and ask for one run each.

    The cursor is the next offset by partition, and by log where one was replaced. Dagster stores it
    together with the requests, so a tick that dies is evaluated again; what it then asks for twice
    is harmless (see `cut_batches`). A partition that cannot be read does not stop the others.
    """
    topic = load_settings().kafka_media_topic
    cursor: dict[str, int] = json.loads(context.cursor or "{}")
    with broker.reader() as reader:
        log_reading = LogReading(reader, topic, context.log.error)
        cut, failed = reader.of_each_partition(topic, partial(_cut, catalog, log_reading, cursor))
    for partition, error in failed.items():
        context.log.error(f"Partition {partition} waits: {error}")
    for partition, (log, next_offset, _) in cut.items():
        cursor[_cursor_key(log, partition)] = next_offset
    keys = [batch.batch_key for _, _, batches in cut.values() for batch in batches]
    if keys:
        crash_point(CrashPoint.SENSOR_BATCHES_CUT)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=key, partition_key=key) for key in keys],
        dynamic_partitions_requests=[media_batches.build_add_request(keys)] if keys else [],
        cursor=json.dumps(cursor),
        skip_reason=None if keys else "No batch is full or due.",
    )


def _cursor_key(log: str, partition: int) -> str:
    return f"{partition}{log.removeprefix(topic_of(log))}"


def _cut(
    catalog: Catalog, log_reading: LogReading, cursor: Mapping[str, int], partition: int
) -> tuple[str, int, list[OffsetRange]]:
    """Cut the due batches of a partition; returns its log's name and its next offset with them."""
    settings = load_settings()
    rule = BatchRule(
        settings.batch_max_messages, settings.batch_max_bytes, settings.batch_max_wait_s
    )
    wanted = rule.max_events * MAX_BATCHES_PER_TICK
    with catalog.begin() as session:
        read = log_reading.read_on(
            session,
            partition,
            lambda log, number: cursor.get(_cursor_key(log, number)),
            wanted,
            timeout_s=5,
        )
    batches = cut_batches(read.log, partition, read.events, rule, time.time())
    return read.log, batches[-1].end if batches else read.start, batches


@dg.sensor(
    job=process_media,
    description="Starts process_media again for batches whose run ended without frames, each "
    "time after a longer wait.",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def unfinished_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask again for batches whose runs ended without frames, and drop old finished partitions.

    A batch that keeps failing is left to a person. It stays visible as a failed partition, and so
    does one of a name that a person made up: its run said why it cannot succeed.
    """
    instance = context.instance
    finished = instance.get_materialized_partitions(dg.AssetKey("processed_frames"))
    keys = [key for key in instance.get_dynamic_partitions(MEDIA_BATCHES) if _is_batch(key)]
    old = [key for key in keys[: -load_settings().batches_kept] if key in finished]
    if instance.get_backfills(status=BulkActionStatus.REQUESTED, limit=1):
        old = []  # Frames of a changed spec may be made of some of them just now.
    retired = old[:MAX_RETIRED_PER_TICK]
    requests = []
    for key in keys:
        if key in finished:
            continue
        attempt = due_attempt(instance, {PARTITION_TAG: key}, time.time())
        if attempt:  # `media_events` asks for the first run.
            context.log.warning("Batch %s has no frames after %d runs", key, attempt)
            requests.append(dg.RunRequest(run_key=f"{key}-attempt-{attempt}", partition_key=key))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=(
            [media_batches.build_delete_request(retired)] if retired else []
        ),
    )


def _is_batch(key: str) -> bool:
    try:
        media_batch(key)
    except InvalidRequestError:
        return False
    return True
