"""The health of the pipeline, by the newest health window."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.metrics_core import Metric
from sqlalchemy.orm import Session

from visionops_assets.catalog.health import health_windows
from visionops_assets.services.exporter.families import gauge, gauges

_EXPORTED = (
    ("consumer_lag", "Messages of the queue that wait to be taken.", ("topic", "partition")),
    ("pipeline_runs", "Dagster runs of the last day by status.", ("job", "status")),
    ("sensor_age_seconds", "Time since a running sensor was last evaluated.", ("sensor",)),
    ("sensor_failing", "Whether the last evaluation of a sensor failed.", ("sensor",)),
    ("quarantine_rate", "Share of the last hour's media that went into quarantine.", ()),
)
"""Names of measurements, and their labels. Those of servers are not here: Prometheus has them."""


def health_metrics(session: Session) -> Iterator[Metric]:
    """Read the newest health window; nothing if there was none yet."""
    for window in health_windows(session, limit=1):
        age_s = (datetime.now(UTC) - window.measured_at).total_seconds()
        yield gauge("health_age_seconds", "Age of the newest look at health.", age_s)
        for name, documentation, labels in _EXPORTED:
            samples = [
                ([found["labels"][label] for label in labels], found["value"])
                for found in window.measurements
                if found["name"] == name
            ]
            yield gauges(name, documentation, labels, samples)
