"""The partitions, owners and freshness that several stages share."""

from datetime import timedelta

import dagster as dg

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import load_settings

MEDIA_BATCHES = "media_batches"
media_batches = dg.DynamicPartitionsDefinition(name=MEDIA_BATCHES)
"""One key per offset range of the media topic: `<topic>-<partition>-<start>-<end>`."""

OWNERS = ["team:vision-platform"]

HOURLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=2), warn_window=timedelta(minutes=75)
)
"""For assets measured at least once per `monitoring_max_interval_s` (an hour) while a model is
served. Before the first release such an asset has no state."""


def batch_of(context: dg.AssetExecutionContext) -> OffsetRange:
    """Return the batch that a run is of. Dagster starts runs of partitions that do not exist.

    Raises:
        InvalidRequestError: the run names no batch, or one that was not cut from the media topic.
    """
    if not context.has_partition_key:
        raise InvalidRequestError(
            f"A run takes one batch, and this one names none: choose a partition of "
            f"{MEDIA_BATCHES}."
        )
    offsets = media_batch(context.partition_key)
    if not context.instance.has_dynamic_partition(MEDIA_BATCHES, offsets.batch_key):
        raise InvalidRequestError(
            f"There is no batch {offsets.batch_key!r}: choose a partition of {MEDIA_BATCHES}."
        )
    return offsets


def media_batch(key: str) -> OffsetRange:
    """Read the name of a batch. A person can add partitions of any name.

    Raises:
        InvalidRequestError: it names no batch of the media topic.
    """
    offsets = OffsetRange.parse(key)
    topic = load_settings().kafka_media_topic
    if offsets.topic_to_read != topic:
        raise InvalidRequestError(f"{key!r} is a batch of another topic than {topic!r}.")
    return offsets
