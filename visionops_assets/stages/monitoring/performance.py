"""`model_performance`: the accuracy of the served model, measured and estimated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.performance import (
    Observation,
    accuracy_history,
    newest_observations,
)
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import PerformanceWindow, Release
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.models import ModelDeclaration
from visionops_assets.monitoring.reference_files import read_reference
from visionops_assets.monitoring.scoring import both_of, measure
from visionops_assets.resources.columns import TEXT, columns, frame_of, names, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import ROW_COUNT, picture, table
from visionops_assets.tasks.registry import judging
from visionops_assets.vision.plots import accuracy_over_time

WINDOWS_SHOWN = 500
SCORES_SHOWN = 200
DRAWN_COLUMNS = ("measured_at", "accuracy", "accuracy_low", "accuracy_high")
COLUMNS = columns(
    ("model_name", TEXT, "Name of the model."),
    ("model_version", "int64", "Version of its newest release."),
    ("predictions", "int64", "Newest predictions that were looked at."),
    ("labelled", "int64", "Predictions among them whose label is a class of the version."),
    ("unknown_labels", "int64", "Predictions among them with another label: no error of it."),
    ("correct", "int64", "Labelled predictions that were right."),
    ("accuracy", "float64", "Share of the labelled predictions that were right."),
    ("accuracy_low", "float64", "Lower limit of its 95 % interval."),
    ("accuracy_high", "float64", "Upper limit of its 95 % interval."),
    ("estimated_accuracy", "float64", "Accuracy of all, estimated from their confidence."),
    ("estimated_low", "float64", "Lower limit of its 95 % interval."),
    ("estimated_high", "float64", "Upper limit of its 95 % interval."),
    ("label_lag_s", "float64", "Seconds from prediction to label, median."),
)


@dataclass(frozen=True)
class Measured:
    """A window, and its predictions, oldest first."""

    window: PerformanceWindow
    seen: Sequence[Observation]


def model_performance_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the measured performance of a model."""

    @dg.asset(
        key=key_of(model, "model_performance"),
        # Accuracy is measured by labels, which are read from the catalog. That arrow loads nothing.
        deps=[prediction_log, "label_table"],
        group_name="monitoring",
        metadata=shown(COLUMNS),
        freshness_policy=HOURLY,
        kinds={"numpy", "postgres", "parquet"},
        owners=OWNERS,
    )
    @fail_in_words
    def model_performance(
        context: dg.AssetExecutionContext,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
    ) -> dg.MaterializeResult[None]:
        """Accuracy of the champion on its newest predictions; one row.

        It is measured where people gave labels, and estimated from the confidence where they did
        not. The row in the catalog also has the scores by class and by slice of image quality.
        Without predictions there is no row; without a reference, or with a damaged one, there is no
        estimate, and `notes` says so.
        """
        with catalog.begin() as session:
            measured, notes = _measure(session, object_store, model)
            windows = [measured.window] if measured else []
            session.add_all(windows)
            session.flush()
            metadata: dict[str, Any] = {
                ROW_COUNT: len(windows),
                "labelled_predictions": 0,
                "models": table(table_of(windows)),
                "notes": dg.MetadataValue.json(notes),
            }
            if measured:
                history = accuracy_history(session, model.name, WINDOWS_SHOWN)
                metadata |= _described(measured.window) | _drawn(model.task, measured, history)
        for note in notes:
            context.log.info("%s", note)
        return dg.MaterializeResult(metadata=metadata)

    return model_performance


def _measure(
    session: Session, object_store: ObjectStore, model: ModelDeclaration
) -> tuple[Measured | None, list[str]]:
    """Measure the champion if it has predictions; say if not, and what is missing."""
    release = champion(session, model.name)
    if release is None:
        return None, []
    seen = newest_observations(session, release, model.monitoring.window_predictions)
    if not seen:
        return None, [f"No prediction of {_named(release)} yet."]
    reference, missing = None, ""
    try:
        reference = read_reference(object_store, release.model_name, release.model_version)
        missing = "" if reference else f"{_named(release)} has no reference."
    except DamagedArtifactError as error:
        missing = str(error)
    notes = [f"Nothing is estimated: {missing}"] if missing else []
    return Measured(measure(release, seen, reference, model.task), seen), notes


def table_of(windows: Sequence[PerformanceWindow]) -> pd.DataFrame:
    """Lay windows out as a table, one row per window."""
    rows = ({name: getattr(window, name) for name in names(COLUMNS)} for window in windows)
    return frame_of(rows, COLUMNS)


def _described(window: PerformanceWindow) -> dict[str, Any]:
    """Return the numbers of a window, without missing ones."""
    metadata: dict[str, Any] = {
        "model_version": window.model_version,
        "predictions": window.predictions,
        "labelled_predictions": window.labelled,
        "unknown_labels": window.unknown_labels,
        "coverage": window.labelled / window.predictions,
    }
    if window.estimated_accuracy is not None:
        metadata["estimated_accuracy"] = window.estimated_accuracy
        metadata["estimated_95"] = f"{window.estimated_low:.4f} .. {window.estimated_high:.4f}"
    if window.accuracy is not None:
        metadata["accuracy"] = window.accuracy
        metadata["accuracy_95"] = f"{window.accuracy_low:.4f} .. {window.accuracy_high:.4f}"
        metadata["label_lag_s"] = window.label_lag_s
        metadata["scores"] = table(pd.DataFrame(window.scores).round(4), max_rows=SCORES_SHOWN)
    return metadata


def _drawn(name: str, shown: Measured, history: Sequence[PerformanceWindow]) -> dict[str, Any]:
    """Draw the pictures as a task does; without labels, return no pictures."""
    labelled = [one for one in shown.seen if one.is_labelled]
    if not labelled:
        return {}
    task, (answers, truth) = judging(name), both_of(labelled, name)
    classes = sorted({label for each in (*truth, *(a.labels for a in answers)) for label in each})
    compared = answers, truth, classes
    caption, errors = task.draw_errors(*compared)
    past = pd.DataFrame([{name: getattr(w, name) for name in DRAWN_COLUMNS} for w in history])
    curves = (past[name].tolist() for name in DRAWN_COLUMNS)
    return {
        caption.replace(" ", "_"): picture(errors, caption),
        "by_class": picture(task.draw_scores(task.scores(*compared)), "scores by class"),
        "over_time": picture(accuracy_over_time(*curves), "accuracy over time"),
    }


def _named(release: Release) -> str:
    return f"version {release.model_version} of {release.model_name}"
