"""`raw_media`: the media files that one batch of events announced."""

from collections import Counter
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from visionops_assets.catalog.batches import OffsetRange, problems_of, take_events
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.logs import log_of, note_replaced
from visionops_assets.catalog.outbox import add_dead_letters
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import DeadLetter
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import LogTruncatedError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.columns import TEXT, columns, frame_of, names, shown
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.settings import load_settings
from visionops_assets.stages.dead_letters import letters_of
from visionops_assets.stages.media.events import parse_events
from visionops_assets.stages.partitions import OWNERS, batch_of, media_batches
from visionops_assets.stages.presentation import table, trace_command

COLUMNS = columns(
    ("media_id", TEXT, "Id that the ingest API gave the file."),
    ("object_key", TEXT, "Key of the file in the object store."),
    ("kind", TEXT, "`image` or `video`."),
    ("content_type", TEXT, "MIME type, by the content."),
    ("sha256", TEXT, "Hash of the bytes, in hexadecimal."),
    ("bytes", "int64", "Size of the file."),
    ("source", TEXT, "Camera, partner or user that sent it."),
)


@dg.asset(
    group_name="media",
    deps=["media_topic"],
    partitions_def=media_batches,
    io_manager_key="tables",
    metadata=shown(COLUMNS),
    kinds={"kafka", "postgres", "parquet"},
    owners=OWNERS,
)
@fail_in_words
def raw_media(
    context: dg.AssetExecutionContext,
    broker: dg.ResourceParam[Broker],
    catalog: dg.ResourceParam[Catalog],
) -> dg.MaterializeResult[pd.DataFrame]:
    """Media files that one exact offset range of the queue announced; one row per file.

    A file announced twice is taken once. Messages that cannot be handled become dead letters, in
    the same transaction, and do not stop the others.
    """
    offsets = batch_of(context)
    taken = _take(broker, catalog, offsets)
    manifest, letters, queued = _manifest(taken.media), taken.letters, taken.messages
    crash_point(CrashPoint.BATCH_EVENTS_TAKEN)
    for letter in letters:
        context.log.error("Dead letter %s: %s: %s", letter.place, letter.code, letter.detail)
    if taken.lost is not None:
        context.log.error("%s The sweep announces again what was lost.", taken.lost)
    context.log.info("%d messages announced %d new media files", queued, len(manifest))
    context.log_event(dg.AssetObservation("media_topic", metadata={"messages": queued}))
    if letters:
        context.log_event(
            dg.AssetMaterialization("dead_letter_topic", metadata={"messages": len(letters)})
        )
    if empty := offsets.end - offsets.start - queued:
        context.log.warning("%d offsets hold no message, as after a broker was killed", empty)
    first = [trace_command("media", str(media_id)) for media_id in manifest["media_id"][:1]]
    return dg.MaterializeResult(
        value=manifest,
        metadata={
            **({"trace": first[0]} if first else {}),
            "messages": queued,
            "repeated_events": queued - len(letters) - len(manifest),
            "dead_letters": len(letters),
            "media_by_kind": dg.MetadataValue.json(dict(Counter(manifest["kind"]))),
            "megabytes": float(manifest["bytes"].sum() / 1e6),
            "first_rows": table(manifest, max_rows=5),
        },
    )


@dataclass(frozen=True)
class _Taken:
    """Media of a batch, the number of its messages, dead letters, and its loss in words."""

    media: list[Media]
    messages: int
    letters: list[DeadLetter]
    lost: str | None


def _take(broker: Broker, catalog: Catalog, offsets: OffsetRange) -> _Taken:
    """Take the events of a batch. Of a log that was cut or replaced since, what is left."""
    where = (offsets.topic_to_read, offsets.partition)
    with catalog.begin() as session:
        is_present = log_of(session, *where) == offsets.topic
    if not is_present:
        return _note(catalog, offsets, [], f"The log {offsets.topic} was replaced.")
    queued, lost = _read(broker, offsets)
    try:
        return _note(catalog, offsets, queued, lost)
    except LogTruncatedError as error:
        with catalog.begin() as session:
            note_replaced(session, offsets.topic, offsets.partition, offsets.start)
        return _note(catalog, offsets, [], str(error))


def _read(broker: Broker, offsets: OffsetRange) -> tuple[list[QueuedEvent], str | None]:
    where = (offsets.topic_to_read, offsets.partition, offsets.start, offsets.end)
    with broker.reader() as reader:
        try:
            return reader.read_range(*where), None
        except LogTruncatedError as error:
            return reader.read_what_is_left(*where), str(error)


def _note(
    catalog: Catalog, offsets: OffsetRange, queued: list[QueuedEvent], lost: str | None
) -> _Taken:
    """Note events and dead letters in one transaction.

    Raises:
        LogTruncatedError: an event lies where another one lay before; nothing is noted.
    """
    events, problems = parse_events(queued)
    with catalog.begin() as session:
        problems |= problems_of(session, events)
        known = [(offset, event) for offset, event in events if offset not in problems]
        media = take_events(session, offsets, known)
        letters = letters_of(offsets.topic, offsets.partition, queued, problems)
        add_dead_letters(session, load_settings().kafka_dead_letter_topic, letters)
    return _Taken(media, len(queued), letters, lost)


def _manifest(media: list[Media]) -> pd.DataFrame:
    rows = ({name: getattr(row, name) for name in names(COLUMNS)} for row in media)
    return frame_of(rows, COLUMNS)
