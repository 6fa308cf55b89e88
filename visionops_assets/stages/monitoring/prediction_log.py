"""`prediction_log`: the answers of the served pipeline, taken from the queue into the catalog."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.outbox import add_dead_letters
from visionops_assets.catalog.predictions import (
    add_predictions,
    image_key,
    next_offset,
    prediction_counts,
    set_next_offset,
)
from visionops_assets.contracts import Prediction
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.columns import TEXT, columns, frame_of, names, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.dead_letters import letters_of, parse
from visionops_assets.stages.log_reading import LogReading
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import ROW_COUNT, table

COLUMNS = columns(
    ("model_name", TEXT, "Name of the model."),
    ("model_version", "int64", "Version that answered."),
    ("predictions", "int64", "Predictions of this version in the catalog."),
)
READ_AT_ONCE = 1_000
"""Predictions per read: each may bring an image of some 350 kB, in Base64."""
IMAGES_PUT_AT_ONCE = 16


@dg.asset(
    group_name="monitoring",
    metadata=shown(COLUMNS),
    deps=["predictions_topic"],
    freshness_policy=HOURLY,
    kinds={"kafka", "postgres"},
    owners=OWNERS,
)
@fail_in_words
def prediction_log(
    context: dg.AssetExecutionContext,
    broker: dg.ResourceParam[Broker],
    catalog: dg.ResourceParam[Catalog],
    object_store: dg.ResourceParam[ObjectStore],
) -> dg.MaterializeResult[None]:
    """Predictions of the served pipeline, taken from the queue into the catalog.

    The table counts them, one row per model version. Each materialization continues where the
    catalog ends. Kept images go to the object store. Messages that are no predictions become dead
    letters, in the same transaction; a partition that cannot be read does not stop the others.
    """
    topic = load_settings().kafka_predictions_topic
    with broker.reader() as reader:
        log_reading = LogReading(reader, topic, context.log.error)
        taking = _Taking(context, catalog, object_store, log_reading)
        _, failed = reader.of_each_partition(topic, taking.take_partition)
    for partition, error in failed.items():
        context.log.error("Partition %d waits: %s", partition, error)
    added, images = taking.added, taking.images
    if taking.letters:
        context.log_event(
            dg.AssetMaterialization("dead_letter_topic", metadata={"messages": taking.letters})
        )
    context.log.info("Took %d predictions and %d images into the catalog", added, images)
    context.log_event(dg.AssetObservation("predictions_topic", metadata={"new_predictions": added}))
    with catalog.begin() as session:
        counts = prediction_counts(session)
    by_version = frame_of(pd.DataFrame(counts, columns=names(COLUMNS)), COLUMNS)
    return dg.MaterializeResult(
        metadata={
            ROW_COUNT: len(by_version),
            "new_predictions": added,
            "new_images": images,
            "dead_letters": taking.letters,
            "by_version": table(by_version),
        },
    )


@dataclass
class _Taking:
    """Takes predictions, page by page, and counts what came."""

    context: dg.AssetExecutionContext
    catalog: Catalog
    object_store: ObjectStore
    log_reading: LogReading
    added: int = 0
    images: int = 0
    letters: int = 0

    def take_partition(self, partition: int) -> None:
        """Take all that waits in a partition."""
        while self._take_page(partition) == READ_AT_ONCE:
            self.context.log.info("%d predictions taken so far", self.added)

    def _take_page(self, partition: int) -> int:
        """Take some messages in one transaction; return how many."""
        with self.catalog.begin() as session:
            read = self.log_reading.read_on(
                session, partition, partial(next_offset, session), READ_AT_ONCE, timeout_s=10
            )
            parsed, problems = parse(read.events, Prediction, "unreadable_prediction")
            images = _keep_images(self.object_store, parsed)
            added, unstorable = add_predictions(session, read.log, partition, parsed)
            letters = letters_of(read.log, partition, read.events, problems | unstorable)
            add_dead_letters(session, load_settings().kafka_dead_letter_topic, letters)
            set_next_offset(session, read.log, partition, read.end)
        for letter in letters:
            self.context.log.error(
                "Dead letter %s: %s: %s", letter.place, letter.code, letter.detail
            )
        self.added += added
        self.images += images
        self.letters += len(letters)
        return len(read.events)


def _keep_images(object_store: ObjectStore, parsed: list[tuple[int, Prediction]]) -> int:
    """Store the images of predictions, before the rows that name them."""
    kept = [
        (key, prediction.image)
        for _, prediction in parsed
        if (key := image_key(prediction)) is not None
    ]
    with ThreadPoolExecutor(IMAGES_PUT_AT_ONCE) as pool:
        # The results are read, so that a failed write raises here.
        list(pool.map(lambda image: object_store.put(*image), kept))
    return len(kept)
