"""The served models: their releases, and their scores in the newest windows."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from prometheus_client.metrics_core import Metric
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from visionops_assets.catalog.engines import EngineState, engines_of
from visionops_assets.catalog.limits import accuracy_limit
from visionops_assets.catalog.performance import monitored_releases
from visionops_assets.catalog.schema import DriftWindow, PerformanceWindow, Release
from visionops_assets.models import load_models, model_named
from visionops_assets.services.exporter.families import Sample, gauges
from visionops_assets.settings import Settings

MAX_CLASSES = 50
"""If a model has more classes, the scores of single classes are not exported.

They would be thousands of series. The catalog has them all.
"""

_WINDOW_LABELS = ["model", "version"]
_BOUNDS = (("", ""), ("_low", ", lower confidence bound"), ("_high", ", upper confidence bound"))
_Window = TypeVar("_Window", PerformanceWindow, DriftWindow)


def model_metrics(session: Session, settings: Settings) -> Iterator[Metric]:
    """Read the served versions, and the newest window of each model."""
    releases = monitored_releases(session)
    champions = [((r.model_name,), r.model_version) for r in releases]
    yield gauges("champion_version", "Model version in service.", ["model"], champions)
    yield gauges(
        "model_accuracy_limit",
        "Accuracy below which the champion is to be replaced.",
        ["model"],
        [((r.model_name,), _limit(session, r)) for r in releases],
    )
    yield _engine_metric(session, releases, settings)
    yield from _performance_metrics(_newest(session, PerformanceWindow))
    yield from _drift_metrics(_newest(session, DriftWindow))


def _limit(session: Session, release: Release) -> float:
    declared = model_named(release.model_name).monitoring.min_accuracy
    return accuracy_limit(session, release.model_name, release.model_version, declared)


def _engine_metric(session: Session, releases: Sequence[Release], settings: Settings) -> Metric:
    """Say of each kind of GPU that serves whether it serves the champion by an engine."""
    samples: list[Sample] = []
    declared = {model.name for model in load_models()}
    ours = [release for release in releases if release.model_name in declared]
    for release in ours if settings.gpu_kinds else ():
        rows = engines_of(session, release.model_name, release.model_version)
        serving = {row.gpu for row in rows if row.state == EngineState.SERVING}
        samples += [((release.model_name, gpu), gpu in serving) for gpu in settings.gpu_kinds]
    documentation = "Whether an engine serves the champion on this kind of GPU, and not ONNX."
    return gauges("engine_serving", documentation, ["model", "gpu"], samples)


def _newest(session: Session, windows: type[_Window]) -> Sequence[_Window]:
    query = (
        select(windows)
        .ext(distinct_on(windows.model_name))
        .order_by(windows.model_name, windows.window_id.desc())
    )
    return session.scalars(query).all()


def _named(window: PerformanceWindow | DriftWindow) -> tuple[str, str]:
    return window.model_name, str(window.model_version)


def _performance_metrics(windows: Sequence[PerformanceWindow]) -> Iterator[Metric]:
    for suffix, bound in _BOUNDS:
        yield gauges(
            f"model_accuracy{suffix}",
            f"Accuracy on labelled predictions in the newest window{bound}.",
            _WINDOW_LABELS,
            [(_named(w), getattr(w, f"accuracy{suffix}")) for w in windows],
        )
    for suffix, bound in _BOUNDS:
        field = f"estimated{suffix or '_accuracy'}"
        yield gauges(
            f"model_estimated_accuracy{suffix}",
            f"Accuracy of the newest window as estimated without labels{bound}.",
            _WINDOW_LABELS,
            [(_named(w), getattr(w, field)) for w in windows],
        )
    for name, documentation, field in (
        ("predictions", "Predictions in the newest window.", "predictions"),
        ("labelled", "Predictions in the newest window whose truth is known.", "labelled"),
        ("unknown_labels", "Labels in the newest window that are no class.", "unknown_labels"),
        ("label_lag_seconds", "Median time from a prediction to its label.", "label_lag_s"),
    ):
        samples = [(_named(w), getattr(w, field)) for w in windows]
        yield gauges(f"model_{name}", documentation, _WINDOW_LABELS, samples)
    yield gauges(
        "model_score",
        "Scores in the newest window; the class is empty for those of all classes together.",
        [*_WINDOW_LABELS, "slice", "measure", "class"],
        [sample for window in windows for sample in _scores(window)],
    )


def _scores(window: PerformanceWindow) -> Iterator[Sample]:
    classes = {row["class"] for row in window.scores if row["class"]}
    for row in window.scores:
        if len(classes) <= MAX_CLASSES or not row["class"]:
            labels = (row["slice"], row["measure"], row["class"] or "")
            yield (*_named(window), *labels), row["value"]


def _drift_metrics(windows: Sequence[DriftWindow]) -> Iterator[Metric]:
    for name, field, documentation in (
        ("statistic", "statistic", "Distance of the newest window from the reference."),
        ("p_value", "p_adjusted", "Chance of such a distance without drift, by Holm's correction."),
    ):
        samples = [
            ((*_named(window), row["kind"]), row[field])
            for window in windows
            for row in window.results
        ]
        yield gauges(f"drift_{name}", documentation, [*_WINDOW_LABELS, "kind"], samples)
    drifted = [(_named(window), window.drifted) for window in windows]
    yield gauges("drift", "Whether the newest window drifted.", _WINDOW_LABELS, drifted)
