"""`prediction_log` and `model_performance`: what was answered, and how often it was right."""

from collections import defaultdict
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import ValidationError

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.predictions import (
    LabelledPrediction,
    add_performance,
    add_predictions,
    labelled_predictions,
    next_offset,
    prediction_counts,
)
from visionops_assets.catalog.schema import PerformanceWindow
from visionops_assets.contracts import Prediction
from visionops_assets.resources.broker import Broker, QueuedEvent
from visionops_assets.settings import load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture, table
from visionops_assets.vision.metrics import confusion_matrix, wilson_interval
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
    context: dg.AssetExecutionContext, broker: Broker, catalog: Catalog
) -> dg.MaterializeResult[pd.DataFrame]:
    """Predictions of the served pipeline, taken from the queue into the catalog.

    Goes on where the catalog ends, whoever called the pipeline. One row a model version:
    `model_name`, `model_version`, `predictions`.
    """
    topic = load_settings().kafka_predictions_topic
    added = 0
    with broker.reader() as reader:
        for partition in reader.partitions(topic):
            while True:
                with catalog.begin() as session:
                    start = next_offset(session, topic, partition)
                    queued = reader.poll(topic, partition, start, READ_AT_ONCE, timeout_s=10)
                    parsed = _parse(context, queued)
                    added += add_predictions(session, topic, partition, parsed)
                if len(queued) < READ_AT_ONCE:
                    break
                context.log.info("%d predictions taken so far", added)
    with catalog.begin() as session:
        counts = prediction_counts(session)
    by_version = pd.DataFrame(counts, columns=["model_name", "model_version", "predictions"])
    return dg.MaterializeResult(
        value=by_version,
        metadata={"new_predictions": added, "by_version": table(by_version)},
    )


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
        labelled = labelled_predictions(session)
    by_version: dict[tuple[str, int], list[LabelledPrediction]] = defaultdict(list)
    for prediction in labelled:
        by_version[prediction.model_name, prediction.model_version].append(prediction)
    totals = {
        (name, version): int(count)
        for name, version, count in prediction_log.itertuples(index=False)
    }
    windows = [
        _window(name, version, totals.get((name, version), len(known)), known)
        for (name, version), known in sorted(by_version.items())
    ]
    with catalog.begin() as session:
        add_performance(session, windows)
    rows = [{name: getattr(window, name) for name in WINDOW_COLUMNS} for window in windows]
    performance = pd.DataFrame(rows, columns=WINDOW_COLUMNS)
    metadata: dict[str, Any] = {"versions": table(performance)}
    if windows:
        newest = windows[-1]
        known = by_version[newest.model_name, newest.model_version]
        metadata |= {
            "accuracy": newest.accuracy,
            "labelled_predictions": newest.labelled,
            "confusion_matrix": _confusion(known),
        }
    return dg.MaterializeResult(value=performance, metadata=metadata)


def _window(
    name: str, version: int, predictions: int, known: list[LabelledPrediction]
) -> PerformanceWindow:
    correct = sum(prediction.answered == prediction.truth for prediction in known)
    low, high = wilson_interval(correct, len(known))
    return PerformanceWindow(
        model_name=name,
        model_version=version,
        predictions=predictions,
        labelled=len(known),
        correct=correct,
        accuracy=correct / len(known),
        accuracy_low=low,
        accuracy_high=high,
    )


def _confusion(known: list[LabelledPrediction]) -> dg.MarkdownMetadataValue:
    classes = sorted({p.truth for p in known} | {p.answered for p in known})
    index = {label: i for i, label in enumerate(classes)}
    truth = np.array([index[p.truth] for p in known])
    answered = np.array([index[p.answered] for p in known])
    matrix = confusion_matrix(truth, answered, len(classes))
    return picture(confusion(matrix, classes), "confusion matrix of labelled predictions")
