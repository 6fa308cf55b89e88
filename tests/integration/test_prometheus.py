"""A real Prometheus reads the stack: all that dashboards and alerts ask it for is there.

And a real Alertmanager tells of an alert, which becomes a row, and work.
"""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from tests.deploy.monitoring import dashboard_expressions, rule_expressions, selectors
from tests.integration.monitored_traffic import (
    send_damaged_media,
    served_model,
    steady_requests,
    write_windows,
)
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Alert, HealthWindow
from visionops_assets.demo.clients import PublicApi
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings
from visionops_assets.stack.probes import mutual_tls

PROGRAMS = ("prometheus", "prometheus-alertmanager")
TARGETS = {
    *(service.name for service in SERVICES if service.addresses),
    *("triton", "prometheus", "alertmanager"),
}
ABSENT = {
    r"nv_gpu_|visionops:gpu_|visionops_engine_": "this machine has no GPU",
    r"visionops_camera_": "there are series of a camera while it is registered",
    r'visionops_media_quarantined\{code=~"missing': "nothing was taken from the store, or altered",
}
"""Series that need not be here, and why."""
SEEN_WITHIN_S = 300
COMPARISONS = re.compile(r"[^=!~]([<>]|==)|\babsent\(")


class Prometheus:
    """The stack's Prometheus, by its HTTP API."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **params: str) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, f"{params}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now; a wrong one fails."""
        result = self.get("query", query=expression)["result"]
        assert isinstance(result, list)
        return result


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Skip where they are not installed; where nothing may be skipped, fail."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        message = f"not on PATH: {', '.join(missing)}. apt-get install {' '.join(PROGRAMS)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module")
def prometheus(stack: Settings) -> Iterator[Prometheus]:
    with httpx.Client(base_url=stack.prometheus_url, trust_env=False, timeout=30) as http:
        yield Prometheus(http)


def alert_row(run: str) -> Alert | None:
    """The row of a test's alert."""
    with Catalog().begin() as session:
        query = select(Alert).where(Alert.labels["test_run"].astext == run)
        return session.scalars(query).one_or_none()


def tell_alertmanager(settings: Settings, run: str, **times: str) -> None:
    alert = {"labels": {"alertname": "Tested", "test_run": run, "calls_for": "check_health"}}
    url = f"{settings.alertmanager_url}/api/v2/alerts"
    certificate = settings.home / "prometheus" / "alertmanager.pem"
    answer = httpx.post(url, json=[alert | times], trust_env=False, verify=mutual_tls(certificate))
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module", autouse=True)
def traffic(stack: Settings, api: PublicApi) -> Iterator[None]:
    """Requests at every door while the tests here run: a rate needs some between scrapes."""
    write_windows()
    send_damaged_media(api)
    with served_model(stack), steady_requests(stack, api):
        yield


@pytest.fixture(scope="module")
def fired(stack: Settings, prometheus: Prometheus) -> tuple[str, Alert]:
    """An alert that was fired at Alertmanager, and its row."""
    run = uuid4().hex
    tell_alertmanager(stack, run)
    return run, eventually("the alert as a row", lambda: alert_row(run), 60)


def test_every_target_is_up(prometheus: Prometheus) -> None:
    def all_up() -> bool:
        targets = prometheus.get("targets")["activeTargets"]
        health = {target["labels"]["job"]: target["health"] for target in targets}
        return health == dict.fromkeys(TARGETS, "up")

    assert eventually("every target up", all_up, 60)


def test_an_alert_becomes_a_row_and_the_work_it_calls_for(
    stack: Settings, fired: tuple[str, Alert]
) -> None:
    run, alert = fired
    assert alert.name == "Tested"
    assert alert.ends_at is None

    def looked_at() -> HealthWindow | None:
        with Catalog().begin() as session:
            later = select(HealthWindow).where(HealthWindow.measured_at > alert.received_at)
            return session.scalars(later.order_by(HealthWindow.window_id).limit(1)).first()

    window = eventually("health measured because of the alert", looked_at, SEEN_WITHIN_S)
    up = {m["labels"]["server"]: m["value"] for m in window.measurements if m["name"] == "up"}
    assert up == dict.fromkeys({*TARGETS - {"alertmanager"}, "kafka"}, 1)
    assert {m["name"] for m in window.measurements} >= {
        *("cpu", "memory", "latency", "error_rate", "requests", "machine_cpu"),
        *("consumer_lag", "outbox_age", "quarantine_rate", "pipeline_runs", "sensor_age_seconds"),
    }
    tell_alertmanager(stack, run, endsAt=datetime.now(UTC).isoformat())
    eventually("the end of the alert in its row", lambda: is_over(run), 90)


def is_over(run: str) -> bool:
    row = alert_row(run)
    return row is not None and row.ends_at is not None


def test_all_that_is_asked_for_is_there(prometheus: Prometheus, fired: tuple[str, Alert]) -> None:
    expressions = dashboard_expressions() | rule_expressions()
    wanted = {selector for expression in expressions for selector in selectors(expression)}
    wanted = {selector for selector in wanted if not is_excused(selector)}

    def none_missing() -> bool | None:
        missing = {selector for selector in wanted if not prometheus.query(selector)}
        seen.append(missing)
        return None if missing else True

    seen: list[set[str]] = []
    try:
        eventually("a series of every selector", none_missing, SEEN_WITHIN_S)
    except pytest.fail.Exception:
        pytest.fail(f"No series of: {sorted(seen[-1])}")
    for expression in sorted(expressions):
        result = prometheus.query(expression)
        # A comparison that holds of nothing, and nothing that is absent, is what one hopes for.
        if not (is_excused(expression) or COMPARISONS.search(expression)):
            assert result, expression


def is_excused(expression: str) -> bool:
    return any(re.search(rf"\b({pattern})", expression) for pattern in ABSENT)


def test_rules_are_evaluated_without_errors(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > len(ABSENT)
    assert {rule.get("lastError", "") for rule in rules} == {""}
    assert {rule["health"] for rule in rules} == {"ok"}


def test_what_is_not_shown_the_key_is_refused(stack: Settings) -> None:
    url = f"{stack.alerts_url}/v1/alerts"
    answer = httpx.post(url, json={"version": "4", "alerts": []}, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
