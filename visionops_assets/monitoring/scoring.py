"""Measures and estimates the accuracy of a release: overall, by class and by slice."""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.catalog.performance import Observation
from visionops_assets.catalog.schema import PerformanceWindow, Release
from visionops_assets.monitoring.errors import wrong_ones
from visionops_assets.monitoring.reference_files import Reference
from visionops_assets.tasks.base import Answer, Labels
from visionops_assets.tasks.class_scores import OVERALL
from visionops_assets.tasks.registry import annotating, judging
from visionops_assets.vision.monitoring.estimation import ConfidenceCalibration
from visionops_assets.vision.monitoring.quality import QUALITY_MEASURES

EVERYTHING = "all"
"""The slice of all predictions."""
SLICED_MEASURES = ("brightness", "contrast", "sharpness")
TERCILES = ("low", "middle", "high")

Masks = Iterator[tuple[str, npt.NDArray[np.bool_]]]


def measure(
    release: Release, seen: Sequence[Observation], reference: Reference | None, task: str
) -> PerformanceWindow:
    """Measure a release of a model of a task by some of its predictions, at least one.

    Accuracy is None without labels, the estimate without a reference. The limits are at 95 %.
    """
    labelled = [one for one in seen if one.is_labelled]
    window = PerformanceWindow(
        model_name=release.model_name,
        model_version=release.model_version,
        predictions=len(seen),
        labelled=len(labelled),
        unknown_labels=sum(not one.is_of_a_class for one in seen),
        correct=int(
            (~wrong_ones([(one.answered, str(one.truth)) for one in labelled], task)).sum()
        ),
        label_lag_s=_median_lag_s(labelled),
        scores=[],
    )
    if labelled:
        scores = scores_of(labelled, reference, task)
        overall = scores[scores["measure"] == "accuracy"].iloc[0]
        window.accuracy = float(overall["value"])
        window.accuracy_low, window.accuracy_high = float(overall["low"]), float(overall["high"])
        window.scores = cast("list[dict[str, Any]]", scores.to_dict(orient="records"))
    if reference is not None:
        calibration = ConfidenceCalibration.fit(
            _as_confidence(reference.confidence),
            reference.answered == reference.labels,
        )
        estimate = calibration.estimate_accuracy(_as_confidence([one.confidence for one in seen]))
        window.estimated_accuracy = estimate.accuracy
        window.estimated_low, window.estimated_high = estimate.low, estimate.high
    return window


def scores_of(
    labelled: Sequence[Observation], reference: Reference | None, task: str
) -> pd.DataFrame:
    """Score labelled predictions: all of them by class, and each slice of image quality by itself.

    The rows have `slice`, `measure`, `class`, `value`, `low`, `high`, `support`. A measure without
    a value, such as the precision of a class that was never answered, has no row.
    """
    scores = judging(task).scores
    answers, truth = both_of(labelled, task)
    classes = [str(name) for name in reference.classes] if reference else []
    tables = [scores(answers, truth, classes).assign(slice=EVERYTHING)]
    for name, mask in _slices(labelled, reference):
        of_slice = scores(list(compress(answers, mask)), list(compress(truth, mask)), classes)
        # By class and slice there would be few labels left, and many numbers.
        tables.append(of_slice[of_slice["class"] == OVERALL].assign(slice=name))
    columns = ["slice", "measure", "class", "value", "low", "high", "support"]
    return pd.concat(tables, ignore_index=True)[columns].dropna()


def both_of(labelled: Sequence[Observation], task: str) -> tuple[list[Answer], list[Labels]]:
    """Return n answers, as far as the catalog has them, and the labels that people gave."""
    read = annotating(task).labels
    answers = [Answer(read(one.answered), confidence=one.confidence) for one in labelled]
    return answers, [read(str(one.truth)) for one in labelled]


def _slices(labelled: Sequence[Observation], reference: Reference | None) -> Masks:
    """Yield the slices that have labels, by the terciles of image quality in the reference."""
    if reference is None or any(len(o.quality) != len(QUALITY_MEASURES) for o in labelled):
        return
    quality = np.array([one.quality for one in labelled])
    for measure_name in SLICED_MEASURES:
        column = QUALITY_MEASURES.index(measure_name)
        bounds = np.quantile(reference.quality[:, column], (1 / 3, 2 / 3))
        tercile_of = np.searchsorted(bounds, quality[:, column])
        for number, tercile in enumerate(TERCILES):
            mask = tercile_of == number
            if mask.any():
                yield f"{measure_name}: {tercile}", mask


def _median_lag_s(labelled: Sequence[Observation]) -> float | None:
    lags_s = [
        (one.labelled_at - one.predicted_at).total_seconds()
        for one in labelled
        if one.labelled_at is not None
    ]
    # Two clocks may differ a little, and no label comes before its prediction.
    return max(0.0, float(np.median(lags_s))) if lags_s else None


def _as_confidence(values: Any) -> npt.NDArray[np.float64]:
    # In single precision the largest probability may be just above 1.
    return np.minimum(np.asarray(values, np.float64), 1.0)
