"""`raw_media`: the media files that one batch of events announced."""

from collections import Counter

import dagster as dg
import pandas as pd
from pydantic import ValidationError

from visionops_assets.catalog.batches import OffsetRange, take_events
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaEvent
from visionops_assets.resources.broker import Broker, QueuedEvent
from visionops_assets.stages.partitions import OWNERS, media_batches
from visionops_assets.stages.presentation import table

MANIFEST_COLUMNS = ("object_key", "kind", "content_type", "sha256", "bytes", "source")


@dg.asset(
    group_name="media",
    partitions_def=media_batches,
    io_manager_key="tables",
    kinds={"kafka", "postgres", "parquet"},
    owners=OWNERS,
)
def raw_media(
    context: dg.AssetExecutionContext, broker: Broker, catalog: Catalog
) -> dg.MaterializeResult[pd.DataFrame]:
    """Media files announced in one offset range of the media topic, read again exactly.

    One row a file: `media_id`, `object_key`, `kind`, `content_type`, `sha256`, `bytes`, `source`.
    Events that came twice are dropped by their id.
    """
    offsets = OffsetRange.parse(context.partition_key)
    with broker.reader() as reader:
        queued = reader.read_range(offsets.topic, offsets.partition, offsets.start, offsets.end)
    events, unreadable = parse_events(queued)
    for offset, problem in unreadable.items():
        context.log.error("Message at offset %d is no media event: %s", offset, problem)
    with catalog.begin() as session:
        manifest = _manifest(take_events(session, offsets, events))
    context.log.info("%d events are %d media files", len(queued), len(manifest))
    return dg.MaterializeResult(
        value=manifest,
        metadata={
            "events": len(queued),
            "repeated_events": len(events) - len(manifest),
            "unreadable_offsets": dg.MetadataValue.json(list(unreadable)),
            "media_by_kind": dg.MetadataValue.json(dict(Counter(manifest["kind"]))),
            "megabytes": float(manifest["bytes"].sum() / 1e6),
            "first_rows": table(manifest, max_rows=5),
        },
    )


def parse_events(
    queued: list[QueuedEvent],
) -> tuple[list[tuple[int, MediaEvent]], dict[int, str]]:
    """Split messages into `(offset, event)` pairs and, by offset, why one is no event."""
    events: list[tuple[int, MediaEvent]] = []
    unreadable: dict[int, str] = {}
    for message in queued:
        try:
            events.append((message.offset, MediaEvent.model_validate_json(message.value)))
        except ValidationError as error:
            unreadable[message.offset] = str(error.errors(include_input=False)[0]["msg"])
    return events, unreadable


def _manifest(media: list[Media]) -> pd.DataFrame:
    rows = [
        {"media_id": str(row.media_id)}
        | {name: getattr(row, name) for name in MANIFEST_COLUMNS}
        | {"kind": str(row.kind)}
        for row in media
    ]
    return pd.DataFrame(rows, columns=["media_id", *MANIFEST_COLUMNS])
