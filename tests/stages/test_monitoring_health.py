"""What is measured of servers and pipeline, and that nothing which is down stops it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs

import dagster as dg
import httpx
import pytest

from tests.declared import declaration
from visionops_assets.catalog.health import Handled, Measurement
from visionops_assets.catalog.schema import Alert, HealthWindow
from visionops_assets.errors import LogTruncatedError, ServerUnreachableError
from visionops_assets.monitoring import server_health
from visionops_assets.monitoring.pipeline_health import (
    measure_queue,
    measure_runs,
    measure_sensors,
)
from visionops_assets.monitoring.server_health import measure_servers
from visionops_assets.resources.topic_reader import TopicReader
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings
from visionops_assets.stages.monitoring import alert_sensors
from visionops_assets.stages.monitoring.alert_sensors import alert_calls_of
from visionops_assets.stages.monitoring.health import (
    _metadata,
    as_table,
    health_schedule,
    series_over,
)

GATEWAY = """
process_cpu_seconds_total {cpu}
process_resident_memory_bytes 1000
visionops_gateway_requests_total{{route="/v1/predict",status="200"}} {requests}
visionops_gateway_requests_total{{route="/a.Service/ModelInfer",status="200"}} {requests}
visionops_gateway_requests_total{{route="/healthz",status="200"}} {requests}
visionops_gateway_request_seconds_bucket{{route="/v1/predict",le="0.1"}} {requests}
visionops_gateway_request_seconds_bucket{{route="/v1/predict",le="+Inf"}} {requests}
"""
MODELS = [declaration(name) for name in ("classifier", "signs")]
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Let all servers be one function, and two scrapes follow each other at once."""
    real_client = httpx.Client

    def install(answer: Answer) -> None:
        transport = httpx.MockTransport(answer)
        monkeypatch.setattr(httpx, "Client", lambda **_: real_client(transport=transport))

    monkeypatch.setattr(server_health, "DIRECT_WINDOW_S", 0.01)
    return install


def by_server(measured: list[Measurement], name: str) -> dict[str, float]:
    return {m.labels["server"]: m.value for m in measured if m.name == name}


def test_servers_are_read_themselves_where_there_is_no_prometheus(
    answering: Callable[[Answer], None],
) -> None:
    scrapes = iter([(1.0, 100), (2.0, 150)])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port != 8081:
            raise httpx.ConnectError("down")
        cpu, requests = next(scrapes)
        return httpx.Response(200, text=GATEWAY.format(cpu=cpu, requests=requests))

    answering(answer)
    measured = measure_servers(Settings())
    assert by_server(measured, "up") == {
        "prometheus": 0,
        "triton": 0,
        **{service.name: 0 for service in SERVICES if service.addresses},
        "gateway": 1,
    }
    cpu, requests = (by_server(measured, name) for name in ("cpu", "requests"))
    assert cpu.keys() == requests.keys() == {"gateway"}
    assert requests["gateway"] / cpu["gateway"] == pytest.approx(2 * 50)
    latencies = [m for m in measured if m.name == "latency"]
    assert {m.labels["quantile"] for m in latencies} == {"0.5", "0.95", "0.99"}
    assert all(0 < m.value <= 0.1 for m in latencies)


def test_prometheus_is_asked_where_it_knows_a_server(
    answering: Callable[[Answer], None],
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port != 9090:
            raise httpx.ConnectError("down")
        (expression,) = parse_qs(request.url.query.decode())["query"]
        asked.append(expression)
        rows: list[dict[str, Any]] = []
        if expression == "min by (job) (up)":
            rows = [
                {"metric": {"job": "triton"}, "value": [0, "1"]},
                {"metric": {"job": "gateway"}, "value": [0, "0"]},
            ]
        elif "nv_inference_queue_duration_us" in expression:
            rows = [{"metric": {"model": "m"}, "value": [0, "2000"]}]
        elif "nv_inference_count" in expression:
            rows = [{"metric": {"model": "m"}, "value": [0, "NaN"]}]
        return httpx.Response(200, json={"status": "success", "data": {"result": rows}})

    answering(answer)
    measured = measure_servers(Settings())
    up = by_server(measured, "up")
    assert (up["prometheus"], up["triton"], up["gateway"], up["ingest"]) == (1, 1, 0, 0)
    (queue,) = [m for m in measured if m.name == "queue_time"]
    assert queue.labels == {"server": "triton", "model": "m"}
    assert queue.value == pytest.approx(0.002)
    assert queue.unit == "s"
    assert not [m for m in measured if m.name == "batch_size"]
    assert any("nv_gpu_utilization" in expression for expression in asked)


def test_an_answer_that_makes_no_sense_is_a_server_that_is_down(
    answering: Callable[[Answer], None],
) -> None:
    answering(lambda _: httpx.Response(200, text="<html>a login page</html>"))
    assert set(by_server(measure_servers(Settings()), "up").values()) == {0}


class Queue(TopicReader):
    """A broker whose topics begin and end at given offsets; `None` is down."""

    def __init__(self, ends: dict[str, tuple[int, int]] | None) -> None:
        self._ends = ends

    @contextmanager
    def reader(self) -> Iterator["Queue"]:
        if self._ends is None:
            raise ServerUnreachableError("down")
        yield self

    def partitions(self, topic: str) -> list[int]:
        return [0] if topic in (self._ends or {}) else []

    def beginning(self, topic: str, _partition: int) -> int:
        return (self._ends or {})[topic][0]

    def end(self, topic: str, _partition: int, near: int, _timeout_s: float) -> int:
        end = (self._ends or {})[topic][1]
        if near > end:
            raise LogTruncatedError("replaced")
        return end


@pytest.mark.parametrize(
    ("taken", "lag"),
    [({("media", 0): 40}, 60), ({}, 90), ({("media", 0): 100}, 0), ({("media", 0): 500}, 90)],
    ids=["behind", "nothing taken", "at the end", "the topic was replaced"],
)
def test_lag_is_what_was_not_taken(taken: dict[tuple[str, int], int], lag: int) -> None:
    queue = cast("Any", Queue({"media": (10, 100)}))
    up, found = measure_queue(queue, ["media", "not there yet"], taken)
    assert up.value == 1
    assert (found.name, found.labels, found.value) == (
        "consumer_lag",
        {"topic": "media", "partition": "0"},
        lag,
    )


def test_a_queue_that_is_down_is_a_measurement() -> None:
    (up,) = measure_queue(cast("Any", Queue(None)), ["media"], {})
    assert (up.name, up.labels, up.value) == ("up", {"server": "kafka"}, 0)


def test_runs_are_counted_by_job_and_status() -> None:
    @dg.op
    def work() -> None:
        """Do nothing."""

    @dg.op
    def fail() -> None:
        raise RuntimeError

    def job(name: str, op: Any) -> Any:
        @dg.job(name=name)
        def made() -> None:
            op()

        return made

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            job("good", work).execute_in_process(instance=instance)
        job("bad", fail).execute_in_process(instance=instance, raise_on_error=False)
        counted = {
            (m.labels["job"], m.labels["status"]): m.value
            for m in measure_runs(instance, ["good", "bad", "idle"])
        }
    assert counted["good", "success"] == 2
    assert counted["bad", "failure"] == 1
    assert sum(counted.values()) == 3
    assert counted["idle", "failure"] == 0


def state(name: str, *, is_running: bool = True) -> SimpleNamespace:
    return SimpleNamespace(
        instigator_name=name, is_running=is_running, instigator_origin_id=name, selector_id=name
    )


def test_sensors_are_told_by_their_last_tick() -> None:
    now_s = datetime.now(UTC).timestamp()
    ticks = {
        "fine": SimpleNamespace(timestamp=now_s - 5, status=SimpleNamespace(value="SKIPPED")),
        "broken": SimpleNamespace(timestamp=now_s - 90, status=SimpleNamespace(value="FAILURE")),
    }
    instance = SimpleNamespace(
        all_instigator_state=lambda: [
            state("fine"),
            state("broken"),
            state("stopped", is_running=False),
            state("of older code"),
            state("never evaluated"),
        ],
        get_ticks=lambda _, selector, limit: [ticks[selector]] if selector in ticks else [],
    )
    known = {"fine", "broken", "stopped", "never evaluated"}
    measured = list(measure_sensors(cast("Any", instance), known))
    ages = {m.labels["sensor"]: m.value for m in measured if m.name == "sensor_age_seconds"}
    failing = {m.labels["sensor"]: m.value for m in measured if m.name == "sensor_failing"}
    assert ages == {"fine": pytest.approx(5, abs=2), "broken": pytest.approx(90, abs=2)}
    assert failing == {"fine": 0, "broken": 1}


def test_quarantine_of_nothing_is_none() -> None:
    assert Handled(0, 0).quarantine_rate == 0
    assert Handled(8, 2).quarantine_rate == 0.25


def test_series_have_a_value_or_a_gap_for_each_window() -> None:
    def window(*latencies: tuple[str, float]) -> HealthWindow:
        rows = [
            {"name": "latency", "labels": {"server": "gateway", "quantile": q}, "value": v}
            for q, v in latencies
        ]
        return HealthWindow(measurements=rows, measured_at=datetime.now(UTC))

    windows = [window(("0.5", 1.0)), window(), window(("0.5", 2.0), ("0.99", 3.0))]
    assert series_over(windows, "latency", server="gateway") == {
        "0.5": [1.0, None, 2.0],
        "0.99": [None, None, 3.0],
    }
    assert series_over(windows, "latency", server="triton") == {}


def test_measurements_are_a_table() -> None:
    found = Measurement("latency", {"server": "gateway", "quantile": "0.5"}, 0.1, "s")
    (row,) = as_table([found]).to_dict(orient="records")
    assert row == {
        "name": "latency",
        "labels": "server=gateway, quantile=0.5",
        "value": 0.1,
        "unit": "s",
    }


def test_health_is_looked_at_every_five_minutes_from_the_start() -> None:
    assert health_schedule.cron_schedule == "*/5 * * * *"
    assert health_schedule.default_status is dg.DefaultScheduleStatus.RUNNING


class CatalogStub(dg.ConfigurableResource["CatalogStub"]):
    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None


def alert(name: str, **labels: str) -> Alert:
    return Alert(
        fingerprint=f"f{name}",
        name=name,
        labels={"alertname": name, **labels},
        annotations={},
        starts_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def called(monkeypatch: pytest.MonkeyPatch, *firing: Alert) -> dg.SensorResult:
    monkeypatch.setattr(alert_sensors, "firing_alerts", lambda _: firing)
    with dg.build_sensor_context(resources={"catalog": CatalogStub()}) as context:
        result = alert_calls_of(MODELS)(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_an_alert_starts_the_job_that_it_calls_for(monkeypatch: pytest.MonkeyPatch) -> None:
    result = called(
        monkeypatch,
        alert("A", calls_for="monitor"),
        alert("B", calls_for="check_health"),
        alert("C"),
        alert("D", calls_for="rm -rf"),
    )
    requests = result.run_requests or []
    assert [request.job_name for request in requests] == [
        "classifier__monitor",
        "signs__monitor",
        "check_health",
    ]
    assert [request.tags["visionops/alert"] for request in requests] == ["A", "A", "B"]


def test_an_alert_about_a_model_calls_for_its_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    result = called(monkeypatch, alert("A", calls_for="monitor", model="signs"))
    assert [request.job_name for request in result.run_requests or []] == ["signs__monitor"]


def test_each_time_that_an_alert_fires_has_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = alert("A", calls_for="monitor"), alert("A", calls_for="monitor")
    later = alert("A", calls_for="monitor")
    later.starts_at += timedelta(hours=1)
    keys = []
    for firing in (first, again, later):
        requests = called(monkeypatch, firing).run_requests or []
        keys.append({request.run_key for request in requests})
        assert len(keys[-1]) == len(MODELS)
    assert keys[0] == keys[1] != keys[2]


def test_without_a_call_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    result = called(monkeypatch, alert("C"))
    assert not result.run_requests
    assert result.skip_reason is not None
    assert "1 alert(s) fire" in str(result.skip_reason.skip_message)


@pytest.mark.parametrize(
    ("down", "shown"),
    [([], "none"), (["gateway"], "gateway"), (["kafka", "triton"], "kafka, triton")],
)
def test_the_servers_that_are_down_are_named(down: list[str], shown: str) -> None:
    servers = ["kafka", "triton", "gateway", "ingest"]
    measured = [
        Measurement("up", {"server": server}, float(server not in down), "") for server in servers
    ]
    measured.append(Measurement("cpu", {"server": "ingest"}, 0.0, ""))
    assert _metadata(measured, [])["servers_down"] == shown
