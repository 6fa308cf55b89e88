"""`prediction_log` and `model_performance`: what was answered, and how often it was right."""

from collections import defaultdict
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import ValidationError

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.predictions import (
    Agreement,
    add_performance,
    add_predictions,
    agreements,
    next_offset,
    prediction_counts,
    sample_key,
    set_next_offset,
)
from visionops_assets.catalog.schema import PerformanceWindow
from visionops_assets.contracts import Prediction
from visionops_assets.resources.broker import Broker, QueuedEvent
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture, table
from visionops_assets.vision.metrics import wilson_interval
from visionops_assets.vision.plots import confusion

READ_AT_ONCE = 5_000
WINDOW_COLUMNS = [
    "model_name",
    "model_version",
    "predictions",
    "labelled",
    "correct",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
]


@dg.asset(
    group_name="monitoring",
    io_manager_key="tables",
    deps=["model_release"],
    kinds={"kafka", "postgres"},
    owners=OWNERS,
)
def prediction_log(
    context: dg.AssetExecutionContext, broker: Broker, catalog: Catalog, object_store: ObjectStore
) -> dg.MaterializeResult[pd.DataFrame]:
    """Predictions of the served pipeline, taken from the queue into the catalog.

    Goes on where the catalog ends, whoever called the pipeline; images of sampled predictions go to
    the object store. One row a model version: `model_name`, `model_version`, `predictions`.
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
    with catalog.begin() as session:
        counts = prediction_counts(session)
    by_version = pd.DataFrame(counts, columns=["model_name", "model_version", "predictions"])
    return dg.MaterializeResult(
        value=by_version,
        metadata={
            "new_predictions": added,
            "new_images": images,
            "by_version": table(by_version),
        },
    )


def _keep_images(object_store: ObjectStore, parsed: list[tuple[int, Prediction]]) -> int:
    """Store the images of sampled predictions, before the rows that name them."""
    kept = 0
    for _, prediction in parsed:
        key = sample_key(prediction)
        if key is not None and prediction.image is not None:
            object_store.put(key, prediction.image)
            kept += 1
    return kept


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


@dg.asset(
    group_name="monitoring",
    io_manager_key="tables",
    kinds={"postgres", "parquet"},
    owners=OWNERS,
)
def model_performance(
    prediction_log: pd.DataFrame, catalog: Catalog
) -> dg.MaterializeResult[pd.DataFrame]:
    """Accuracy of each served version on the predictions whose truth is known, with its interval.

    One row a version with labels; the same rows are kept in the catalog as a time series.
    """
    with catalog.begin() as session:
        known = agreements(session)
    by_version: dict[tuple[str, int], list[Agreement]] = defaultdict(list)
    for agreement in known:
        by_version[agreement.model_name, agreement.model_version].append(agreement)
    totals = {
        (name, version): int(count)
        for name, version, count in prediction_log.itertuples(index=False)
    }
    windows = [
        measure(of_version, predictions=totals.get(version))
        for version, of_version in by_version.items()
    ]
    with catalog.begin() as session:
        add_performance(session, windows)
    rows = [{name: getattr(window, name) for name in WINDOW_COLUMNS} for window in windows]
    performance = pd.DataFrame(rows, columns=WINDOW_COLUMNS)
    metadata: dict[str, Any] = {"versions": table(performance)}
    if windows:
        newest = windows[-1]
        metadata |= {
            "accuracy": newest.accuracy,
            "labelled_predictions": newest.labelled,
            "model_version": newest.model_version,
            "confusion_matrix": _confusion(by_version[newest.model_name, newest.model_version]),
        }
    return dg.MaterializeResult(value=performance, metadata=metadata)


def measure(known: list[Agreement], predictions: int | None) -> PerformanceWindow:
    """Measure one version by its labelled predictions; `predictions` counts all it has made.

    The interval is Wilson's, at 95 %.
    """
    labelled = sum(agreement.predictions for agreement in known)
    correct = sum(a.predictions for a in known if a.answered == a.truth)
    low, high = wilson_interval(correct, labelled)
    return PerformanceWindow(
        model_name=known[0].model_name,
        model_version=known[0].model_version,
        # A prediction may be labelled and taken after the log was counted.
        predictions=max(predictions or 0, labelled),
        labelled=labelled,
        correct=correct,
        accuracy=correct / labelled,
        accuracy_low=low,
        accuracy_high=high,
    )


def _confusion(known: list[Agreement]) -> dg.MarkdownMetadataValue:
    classes = sorted({a.truth for a in known} | {a.answered for a in known})
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for agreement in known:
        row, column = classes.index(agreement.truth), classes.index(agreement.answered)
        matrix[row, column] = agreement.predictions
    return picture(confusion(matrix, classes), "confusion matrix of labelled predictions")
