"""`prediction_log`: the answers of the served pipeline, taken from the queue into the catalog."""

from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pandas as pd
from pydantic import ValidationError

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.predictions import (
    add_predictions,
    image_key,
    next_offset,
    prediction_counts,
    set_next_offset,
)
from visionops_assets.contracts import Prediction
from visionops_assets.resources.broker import Broker, QueuedEvent
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.columns import TEXT, columns, frame_of, names, shown
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import table

COLUMNS = columns(
    ("model_name", TEXT, "Name of the model."),
    ("model_version", "int64", "Version that answered."),
    ("predictions", "int64", "Predictions of this version in the catalog."),
)
READ_AT_ONCE = 1_000
"""Each may bring an image of some 350 kB along, in Base64."""
IMAGES_PUT_AT_ONCE = 16


@dg.asset(
    group_name="monitoring",
    io_manager_key="tables",
    metadata=shown(COLUMNS),
    deps=["predictions_topic"],
    freshness_policy=HOURLY,
    kinds={"kafka", "postgres"},
    owners=OWNERS,
)
@fail_in_words
def prediction_log(
    context: dg.AssetExecutionContext, broker: Broker, catalog: Catalog, object_store: ObjectStore
) -> dg.MaterializeResult[pd.DataFrame]:
    """Predictions of the served pipeline, taken from the queue into the catalog.

    The table counts them, one row per model version. Each materialization goes on where the catalog
    ends. Images that were kept go to the object store.
    """
    topic = load_settings().kafka_predictions_topic
    added = images = 0
    with broker.reader() as reader:
        for partition in reader.partitions(topic):
            while True:
                with catalog.begin() as session:
                    start = next_offset(session, topic, partition)
                    queued = reader.poll(topic, partition, start, READ_AT_ONCE, timeout_s=10)
                    parsed = _parse(context, queued)
                    images += _keep_images(object_store, parsed)
                    added += add_predictions(session, topic, partition, parsed)
                    if queued:
                        set_next_offset(session, topic, partition, queued[-1].offset + 1)
                if len(queued) < READ_AT_ONCE:
                    break
                context.log.info("%d predictions taken so far", added)
    context.log.info("Took %d predictions and %d images into the catalog", added, images)
    context.log_event(dg.AssetObservation("predictions_topic", metadata={"new_predictions": added}))
    with catalog.begin() as session:
        counts = prediction_counts(session)
    by_version = frame_of(pd.DataFrame(counts, columns=names(COLUMNS)), COLUMNS)
    return dg.MaterializeResult(
        value=by_version,
        metadata={
            "new_predictions": added,
            "new_images": images,
            "by_version": table(by_version),
        },
    )


def _keep_images(object_store: ObjectStore, parsed: list[tuple[int, Prediction]]) -> int:
    """Store the images that predictions brought along, before the rows that name them."""
    kept = [
        (key, prediction.image)
        for _, prediction in parsed
        if (key := image_key(prediction)) is not None
    ]
    with ThreadPoolExecutor(IMAGES_PUT_AT_ONCE) as pool:
        # Consumed, so that one that failed is an error here.
        list(pool.map(lambda image: object_store.put(*image), kept))
    return len(kept)


def _parse(
    context: dg.AssetExecutionContext, queued: list[QueuedEvent]
) -> list[tuple[int, Prediction]]:
    parsed = []
    for message in queued:
        try:
            parsed.append((message.offset, Prediction.model_validate_json(message.value)))
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]["msg"]
            context.log.warning("Message at %d is no prediction: %s", message.offset, problem)
    return parsed
