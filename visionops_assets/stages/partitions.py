"""The partitions, owners and freshness that several stages share."""

from datetime import timedelta

import dagster as dg

media_batches = dg.DynamicPartitionsDefinition(name="media_batches")
"""One key per offset range of the media topic: `<topic>-<partition>-<start>-<end>`."""

OWNERS = ["team:vision-platform"]

HOURLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=2), warn_window=timedelta(minutes=75)
)
"""For assets measured at least once per `monitoring_max_interval_s` (an hour) while a model is
served. Before the first release such an asset has no state."""
