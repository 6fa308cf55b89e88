from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from prometheus_client.metrics_core import Metric

from tests.services.asgi_client import AsgiClient
from visionops_assets.catalog.schema import (
    DriftWindow,
    EngineRow,
    HealthWindow,
    PerformanceWindow,
    Release,
)
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.exporter import health, models
from visionops_assets.services.exporter.app import create_app
from visionops_assets.settings import Settings

Values = dict[str, dict[tuple[str, ...], float]]


class CatalogThatIsDown:
    @contextmanager
    def begin(self) -> Iterator[None]:
        raise ServerUnreachableError("down")
        yield


def values(metrics: Iterable[Metric]) -> Values:
    """Values by name and values of the labels."""
    found: Values = {}
    for metric in metrics:
        for sample in metric.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_a_catalog_that_is_down_is_a_metric_and_no_error() -> None:
    client = AsgiClient(create_app(cast("Any", CatalogThatIsDown()), Settings()))
    assert client.get("/healthz").status_code == 200
    response = client.get("/metrics")
    assert response.status_code == 200
    samples = [line for line in response.text.splitlines() if not line.startswith("#")]
    ours = [sample for sample in samples if not sample.startswith("process_")]
    assert ours == ["visionops_catalog_up 0.0"]


def score(slice_: str, measure: str, class_: str, value: float) -> dict[str, Any]:
    row = {"slice": slice_, "measure": measure, "class": class_, "value": value}
    return row | {"low": value, "high": value, "support": 1}


def window(**changes: Any) -> PerformanceWindow:
    known = {
        "model_name": "m",
        "model_version": 3,
        "predictions": 100,
        "labelled": 20,
        "correct": 18,
        "accuracy": 0.9,
        "accuracy_low": 0.7,
        "accuracy_high": 0.97,
        "estimated_accuracy": 0.8,
        "estimated_low": 0.75,
        "estimated_high": 0.85,
        "label_lag_s": 12.0,
        "scores": [],
    }
    return PerformanceWindow(**(known | changes))


def test_a_window_is_told_by_model_and_version() -> None:
    found = values(models._performance_metrics([window()]))
    by_name = {name: series[("m", "3")] for name, series in found.items()}
    assert by_name == {
        "visionops_model_accuracy": 0.9,
        "visionops_model_accuracy_low": 0.7,
        "visionops_model_accuracy_high": 0.97,
        "visionops_model_estimated_accuracy": 0.8,
        "visionops_model_estimated_accuracy_low": 0.75,
        "visionops_model_estimated_accuracy_high": 0.85,
        "visionops_model_predictions": 100,
        "visionops_model_labelled": 20,
        "visionops_model_label_lag_seconds": 12,
    }


def test_what_is_not_known_has_no_series() -> None:
    found = values(models._performance_metrics([window(accuracy=None, label_lag_s=None)]))
    assert "visionops_model_accuracy" not in found
    assert "visionops_model_label_lag_seconds" not in found
    assert "visionops_model_predictions" in found


@pytest.mark.parametrize(
    ("classes", "exported"), [(2, 3), (models.MAX_CLASSES, 51), (models.MAX_CLASSES + 1, 1)]
)
def test_scores_of_too_many_classes_are_left_to_the_catalog(classes: int, exported: int) -> None:
    rows = [score("all", "f1", f"c{i}", 0.5) for i in range(classes)]
    rows.append(score("all", "accuracy", "", 0.9))
    scores = values(models._performance_metrics([window(scores=rows)]))["visionops_model_score"]
    assert len(scores) == exported
    assert scores["m", "3", "all", "accuracy", ""] == 0.9


def test_drift_is_told_by_kind() -> None:
    drift = DriftWindow(
        model_name="m",
        model_version=3,
        predictions=100,
        reference_frames=500,
        results=[
            {"kind": "embedding", "statistic": 0.3, "p_value": 0.001, "p_adjusted": 0.002},
            {"kind": "noise", "statistic": 0.1, "p_value": 0.5, "p_adjusted": 1.0},
        ],
        drifted=True,
    )
    found = values(models._drift_metrics([drift]))
    assert found == {
        "visionops_drift_statistic": {("m", "3", "embedding"): 0.3, ("m", "3", "noise"): 0.1},
        "visionops_drift_p_value": {("m", "3", "embedding"): 0.002, ("m", "3", "noise"): 1.0},
        "visionops_drift": {("m", "3"): 1},
    }


def test_the_newest_look_at_health_is_shown_with_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"job": "monitor", "status": "failure"}
    looked = HealthWindow(
        measurements=[
            {"name": "consumer_lag", "labels": {"topic": "media", "partition": "0"}, "value": 7},
            {"name": "pipeline_runs", "labels": runs, "value": 1},
            {"name": "up", "labels": {"server": "triton"}, "value": 1},
        ],
        measured_at=datetime.now(UTC) - timedelta(seconds=60),
    )
    monkeypatch.setattr(health, "health_windows", lambda _, limit: [looked][:limit])
    found = values(health.health_metrics(cast("Any", None)))
    assert found["visionops_health_age_seconds"][()] == pytest.approx(60, abs=5)
    assert found["visionops_consumer_lag"] == {("media", "0"): 7}
    assert found["visionops_pipeline_runs"] == {("monitor", "failure"): 1}
    # Of servers Prometheus knows more by itself.
    assert "visionops_up" not in found


def test_before_the_first_look_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "health_windows", lambda _, limit: [])
    assert not list(health.health_metrics(cast("Any", None)))


def test_each_kind_of_gpu_says_whether_its_engine_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        EngineRow(gpu="NVIDIA-L4", state="serving"),
        EngineRow(gpu="NVIDIA-A10G", state="ready"),
    ]
    monkeypatch.setattr(models, "engines_of", lambda *_: rows)
    releases = [Release(model_name=name, model_version=3) for name in ("classifier", "other")]

    def found(engine_gpus: str) -> Values:
        settings = Settings(engine_gpus=engine_gpus)
        return values([models._engine_metric(cast("Any", None), releases, settings)])

    assert found("NVIDIA-L4,NVIDIA-A10G,NVIDIA-T4") == {
        "visionops_engine_serving": {
            ("classifier", "NVIDIA-L4"): 1,
            ("classifier", "NVIDIA-A10G"): 0,
            ("classifier", "NVIDIA-T4"): 0,
        }
    }
    assert found("") == {}
