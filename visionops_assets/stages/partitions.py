"""The partitions that several stages share."""

import dagster as dg

media_batches = dg.DynamicPartitionsDefinition(name="media_batches")
"""One key an offset range of the media topic: `<topic>-<partition>-<start>-<end>`."""

OWNERS = ["team:vision-platform"]
