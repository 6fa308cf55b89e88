"""`serving_health`: measurements of the servers and of the pipeline, every five minutes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.health import (
    Measurement,
    add_health,
    health_windows,
    taken_offsets,
)
from visionops_assets.catalog.schema import HealthWindow
from visionops_assets.monitoring.pipeline_health import (
    measure_catalog,
    measure_queue,
    measure_runs,
    measure_sensors,
)
from visionops_assets.monitoring.server_health import measure_servers
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.columns import TEXT, columns, frame_of, shown
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.attempts import WATCHING
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import ROW_COUNT, picture, table
from visionops_assets.vision.health_plots import lines_over_time

SHOWN_WINDOWS = 288
"""Windows shown in the pictures: those of a day."""

COLUMNS = columns(
    ("name", TEXT, "Name of the measurement, such as `latency` or `consumer_lag`."),
    ("labels", TEXT, "The thing measured, as `name=value`, separated by commas."),
    ("value", "float64", "The measured value."),
    ("unit", TEXT, "Unit of the value; empty for a plain number."),
)

_PLOTS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("latency", "latency of the gateway by quantile", "s", {"server": "gateway"}),
    ("latency", "latency of Triton by model and quantile", "s", {"server": "triton"}),
    ("consumer_lag", "messages that wait by topic and partition", "", {}),
)
"""Which measurements are drawn: name, heading, unit, labels."""


@dg.asset(
    group_name="monitoring",
    metadata=shown(COLUMNS),
    deps=["server_metrics"],
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=20), warn_window=timedelta(minutes=12)
    ),
    kinds={"prometheus", "postgres"},
    owners=OWNERS,
)
@fail_in_words
def serving_health(
    context: dg.AssetExecutionContext,
    broker: dg.ResourceParam[Broker],
    catalog: dg.ResourceParam[Catalog],
) -> dg.MaterializeResult[None]:
    """Health of servers and pipeline: CPU, memory, latency, errors, lag, runs and sensors.

    One row per measurement, from Prometheus, or from the servers themselves if it does not answer.
    The catalog keeps the same rows. A server that does not answer gives the measurement `up` with
    the value 0, and no error.
    """
    settings = load_settings()
    topics = (settings.kafka_media_topic, settings.kafka_predictions_topic)
    repository = context.repository_def
    jobs = [name for name in repository.job_names if not name.startswith("__")]
    sensors = {sensor.name for sensor in repository.sensor_defs}
    with catalog.begin() as session:
        measured = list(measure_catalog(session))
        taken = taken_offsets(session)
    measured += measure_queue(broker, topics, taken)
    measured += measure_runs(context.instance, jobs)
    measured += measure_sensors(context.instance, sensors)
    measured += measure_servers(settings)
    context.log_event(
        dg.AssetObservation("server_metrics", metadata={"measurements": len(measured)})
    )
    with catalog.begin() as session:
        add_health(session, measured)
        session.flush()
        windows = health_windows(session, SHOWN_WINDOWS)
    return dg.MaterializeResult(metadata=_metadata(measured, windows))


check_health = dg.define_asset_job(
    "check_health",
    selection=dg.AssetSelection.assets("serving_health"),
    description="Measures the servers and the pipeline itself. Started by `health_schedule`, or by "
    "an alert.",
    tags=WATCHING,
)

health_schedule = dg.ScheduleDefinition(
    name="health_schedule",
    job=check_health,
    cron_schedule="*/5 * * * *",
    description="Starts check_health every five minutes.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def as_table(measured: Sequence[Measurement]) -> pd.DataFrame:
    """Lay measurements out, one per row; their labels as `name=value`, separated by commas."""
    rows = []
    for found in measured:
        labels = ", ".join(f"{label}={value}" for label, value in found.labels.items())
        rows.append(vars(found) | {"labels": labels})
    return frame_of(rows, COLUMNS)


def series_over(
    windows: Sequence[HealthWindow], name: str, **labels: str
) -> dict[str, list[float | None]]:
    """Return one list over the windows for each series of this name with these labels.

    A series is named by its other labels; it holds None where a window lacks it.
    """
    series: dict[str, list[float | None]] = {}
    for index, window in enumerate(windows):
        for found in window.measurements:
            if found["name"] != name or not labels.items() <= found["labels"].items():
                continue
            others = [v for k, v in found["labels"].items() if k not in labels]
            values = series.setdefault(" ".join(others), [None] * len(windows))
            values[index] = found["value"]
    return series


def _metadata(measured: Sequence[Measurement], windows: Sequence[HealthWindow]) -> dict[str, Any]:
    down = [found.labels["server"] for found in measured if found.name == "up" and not found.value]
    metadata: dict[str, Any] = {
        ROW_COUNT: len(measured),
        "servers_down": ", ".join(down) or "none",
        "measurements": table(as_table(measured), max_rows=200),
    }
    times = [window.measured_at for window in windows]
    for name, heading, unit, labels in _PLOTS:
        series = series_over(windows, name, **labels)
        if series:
            metadata[heading] = picture(lines_over_time(heading, unit, times, series), heading)
    return metadata
