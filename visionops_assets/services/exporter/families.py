"""Makes families of gauges, for the modules that read the catalog."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

Sample = tuple[Sequence[str], float | None]
"""Values of the labels, and the value; None is left out."""


def gauge(name: str, documentation: str, value: float) -> Metric:
    """Make a gauge without labels."""
    return GaugeMetricFamily(f"visionops_{name}", documentation, value=value)


def gauges(
    name: str, documentation: str, labels: Sequence[str], samples: Iterable[Sample]
) -> Metric:
    """Make a gauge with one series per sample."""
    family = GaugeMetricFamily(f"visionops_{name}", documentation, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(list(values), value)
    return family
