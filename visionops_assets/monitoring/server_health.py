"""Measures Triton and our services, by Prometheus if it scrapes them, else by their own metrics."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from visionops_assets.catalog.health import Measurement
from visionops_assets.monitoring.measures import (
    Gauge,
    Look,
    Measure,
    Quantile,
    Rate,
    Ratio,
    Samples,
    parse_samples,
)
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings

WINDOW = "5m"
"""The window of rates that Prometheus computes."""
DIRECT_WINDOW_S = 5.0
"""The time between two scrapes of a server that Prometheus does not scrape."""
QUANTILES = (0.5, 0.95, 0.99)
PROMETHEUS = "prometheus"

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Wanted:
    """One measure of one server: its name, its unit and its labels.

    `scale` turns the server's unit into ours.
    """

    name: str
    unit: str
    measure: Measure
    by: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    scale: float = 1.0


def _of_service(service: str, route: str) -> list[Wanted]:
    """Return the measures of an HTTP service of ours; latency and errors are of its main routes."""
    main = (("route", route),)
    requests = f"visionops_{service}_requests_total"
    return [
        Wanted("cpu", "cores", Rate("process_cpu_seconds_total")),
        Wanted("memory", "bytes", Gauge("process_resident_memory_bytes")),
        Wanted("requests", "1/s", Rate(requests, main)),
        Wanted(
            "error_rate",
            "ratio",
            Ratio(Rate(requests, (*main, ("status", "5.."))), (Rate(requests, main),)),
        ),
        *(
            Wanted(
                "latency",
                "s",
                Quantile(quantile, f"visionops_{service}_request_seconds", main),
                labels=(("quantile", f"{quantile:g}"),),
            )
            for quantile in QUANTILES
        ),
    ]


def _of_triton() -> list[Wanted]:
    """Return the measures of Triton, by model. CPU and memory are those of its machine."""
    done = Rate("nv_inference_request_success")
    failed = Rate("nv_inference_request_failure")
    model, gpu = ("model",), ("gpu_uuid",)
    return [
        Wanted("machine_cpu", "ratio", Gauge("nv_cpu_utilization")),
        Wanted("machine_memory", "bytes", Gauge("nv_cpu_memory_used_bytes")),
        Wanted("gpu_utilisation", "ratio", Gauge("nv_gpu_utilization"), by=gpu),
        Wanted("gpu_memory", "bytes", Gauge("nv_gpu_memory_used_bytes"), by=gpu),
        Wanted("requests", "1/s", done, by=model),
        Wanted("error_rate", "ratio", Ratio(failed, (failed, done)), by=model),
        Wanted(
            "queue_time",
            "s",
            Ratio(Rate("nv_inference_queue_duration_us"), (done,)),
            scale=1e-6,
            by=model,
        ),
        Wanted(
            "batch_size",
            "images",
            Ratio(Rate("nv_inference_count"), (Rate("nv_inference_exec_count"),)),
            by=model,
        ),
        Wanted(
            "latency",
            "s",
            Gauge("nv_inference_request_summary_us", is_maximum=True),
            by=("model", "quantile"),
            scale=1e-6,
        ),
    ]


WANTED: Mapping[str, Sequence[Wanted]] = {
    "triton": _of_triton(),
    **{
        service.name: _of_service(service.name, service.measured_route)
        if service.measured_route
        else ()
        for service in SERVICES
        if service.addresses
    },
}
"""Measures by server. Whether it is up is measured of every server."""


def measure_servers(settings: Settings) -> list[Measurement]:
    """Measure every server. One that does not answer has `up 0` and nothing else."""
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as http:
        reader = PrometheusReader(http, settings.prometheus_url)
        known = reader.up()
        measured = [_up(PROMETHEUS, known is not None)]
        unknown = {}
        for server, url in _metrics_urls(settings).items():
            if known and server in known:
                measured += [_up(server, known[server]), *reader.measure(server, WANTED[server])]
            else:
                unknown[server] = url
        return [*measured, *_measure_directly(http, unknown)]


class PrometheusReader:
    """Asks Prometheus, by its HTTP API."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url

    def up(self) -> dict[str, bool] | None:
        """Return by job whether all its targets answer; None if Prometheus is down."""
        found = self._query("min by (job) (up)")
        if found is None:
            return None
        return {row["metric"].get("job", ""): float(row["value"][1]) == 1 for row in found}

    def measure(self, server: str, wanted: Sequence[Wanted]) -> Iterator[Measurement]:
        """Yield the measurements of a server, without those that lack series."""
        for want in wanted:
            expression = want.measure.promql(server, want.by, WINDOW)
            for row in self._query(expression) or []:
                group = tuple(row["metric"].get(label, "") for label in want.by)
                yield from _measured(server, want, group, float(row["value"][1]))

    def _query(self, expression: str) -> list[dict[str, Any]] | None:
        try:
            answer = self._http.get(f"{self._url}/api/v1/query", params={"query": expression})
            result: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError):
            return None
        return result


def _metrics_urls(settings: Settings) -> dict[str, str]:
    urls = {
        service.name: f"{getattr(settings, service.addresses[0].setting)}/metrics"
        for service in SERVICES
        if service.addresses
    }
    return {"triton": settings.triton_metrics_url, **urls}


def _measure_directly(http: httpx.Client, urls: Mapping[str, str]) -> Iterator[Measurement]:
    """Scrape servers twice, and measure between the scrapes."""
    if not urls:
        return
    before = {server: _scrape(http, url) for server, url in urls.items()}
    started_s = time.monotonic()
    time.sleep(DIRECT_WINDOW_S)
    for server, url in urls.items():
        first, second = before[server], _scrape(http, url)
        yield _up(server, second is not None)
        if first is None or second is None:
            continue
        look = Look(first, second, time.monotonic() - started_s)
        for want in WANTED[server]:
            for group, value in want.measure.values(look, want.by).items():
                yield from _measured(server, want, group, value)


def _scrape(http: httpx.Client, url: str) -> Samples | None:
    try:
        return parse_samples(http.get(url).raise_for_status().text)
    except (httpx.HTTPError, ValueError):
        return None


def _up(server: str, answers: bool) -> Measurement:
    return Measurement("up", {"server": server}, float(answers), "")


def _measured(
    server: str, want: Wanted, group: tuple[str, ...], value: float
) -> Iterator[Measurement]:
    """Yield the measurement, unless there was nothing to measure (0 of 0 requests)."""
    if math.isfinite(value):
        labels = {"server": server, **dict(zip(want.by, group, strict=True)), **dict(want.labels)}
        yield Measurement(want.name, labels, value * want.scale, want.unit)
