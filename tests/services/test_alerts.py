"""The alerts service: who may tell it of alerts, and that what it acknowledged is noted."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from tests.services.asgi_client import AsgiClient
from visionops_assets.catalog.alerts import ToldAlert
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services import alerts
from visionops_assets.services.alerts import MAX_BODY_BYTES, create_app
from visionops_assets.settings import Settings

KEY = "the-key"
STARTS = "2026-01-01T00:00:00.123Z"


class FakeCatalog:
    """Opens transactions of nothing, or none while it is down."""

    is_down = False

    @contextmanager
    def begin(self) -> Iterator[None]:
        if self.is_down:
            raise ServerUnreachableError("down")
        yield None


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[ToldAlert]:
    """What was written."""
    told: list[ToldAlert] = []
    monkeypatch.setattr(alerts, "note_alerts", lambda _, new: told.extend(new))
    return told


def service(
    catalog: FakeCatalog, key: str | None = KEY, authorization: str | None = f"Bearer {KEY}"
) -> AsgiClient:
    settings = Settings.model_validate({"alerts_key": key})
    headers = {"Authorization": authorization} if authorization else None
    return AsgiClient(create_app(cast("Any", catalog), settings), headers)


def notification(**changes: Any) -> dict[str, Any]:
    alert = {
        "status": "firing",
        "labels": {"alertname": "TargetDown", "job": "triton"},
        "annotations": {"summary": "triton does not answer."},
        "startsAt": STARTS,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "8a2f11c05e0d9d2b",
        **changes,
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="TargetDown"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "visionops",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": [alert],
    }


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def test_what_is_told_is_noted(catalog: FakeCatalog, noted: list[ToldAlert]) -> None:
    answer = service(catalog).post("/v1/alerts", json=notification())
    assert (answer.status_code, answer.json()) == (200, {"alerts": 1})
    assert noted == [
        ToldAlert(
            fingerprint="8a2f11c05e0d9d2b",
            name="TargetDown",
            labels={"alertname": "TargetDown", "job": "triton"},
            annotations={"summary": "triton does not answer."},
            starts_at=datetime(2026, 1, 1, 0, 0, 0, 123_000, UTC),
            ends_at=None,
        )
    ]


def test_the_end_of_an_alert_is_told_too(catalog: FakeCatalog, noted: list[ToldAlert]) -> None:
    ended = notification(status="resolved", endsAt="2026-01-01T01:00:00Z")
    assert service(catalog).post("/v1/alerts", json=ended).status_code == 200
    assert noted[0].ends_at == datetime(2026, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer ", f"Basic {KEY}"])
def test_who_does_not_show_the_key_is_refused(
    catalog: FakeCatalog, noted: list[ToldAlert], authorization: str | None
) -> None:
    answer = service(catalog, authorization=authorization).post("/v1/alerts", json=notification())
    assert answer.status_code == 401
    assert code_of(answer) == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not noted


@pytest.mark.parametrize("key", [None, ""])
@pytest.mark.parametrize("authorization", [None, "Bearer ", f"Bearer {KEY}"])
def test_without_a_key_of_its_own_it_refuses_all(
    catalog: FakeCatalog, noted: list[ToldAlert], key: str | None, authorization: str | None
) -> None:
    refused = service(catalog, key, authorization).post("/v1/alerts", json=notification())
    assert refused.status_code == 401
    assert not noted


def test_the_key_is_checked_before_the_body_is_read(catalog: FakeCatalog) -> None:
    answer = service(catalog, authorization=None).post("/v1/alerts", content=b"{" * 100)
    assert answer.status_code == 401


def test_what_cannot_be_noted_is_not_acknowledged(
    catalog: FakeCatalog, noted: list[ToldAlert]
) -> None:
    catalog.is_down = True
    answer = service(catalog).post("/v1/alerts", json=notification())
    assert answer.status_code == 503
    assert code_of(answer) == "server_unreachable"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "perhaps"},
        {"startsAt": "2026-01-01T00:00:00"},
        {"fingerprint": "not hexadecimal"},
        {"labels": {"alertname": "A\x00"}},
        {"annotations": {"\x00": ""}},
        {"labels": {"alertname": 5}},
    ],
)
def test_what_does_not_fit_is_refused_for_good(
    catalog: FakeCatalog, noted: list[ToldAlert], changes: dict[str, Any]
) -> None:
    """Alertmanager sends again what is answered by 5xx, and would so for ever."""
    answer = service(catalog).post("/v1/alerts", json=notification(**changes))
    assert answer.status_code == 422
    assert code_of(answer) == "invalid_request"
    assert not noted


def test_a_body_that_is_too_large_is_refused(catalog: FakeCatalog) -> None:
    answer = service(catalog).post("/v1/alerts", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert code_of(answer) == "too_large"


def test_it_counts_its_requests_and_says_that_it_is_there(catalog: FakeCatalog) -> None:
    client = service(catalog, authorization=None)
    client.post("/v1/alerts", json=notification())
    assert client.get("/healthz").status_code == 200
    shown = client.get("/metrics").text
    assert (
        'visionops_alerts_requests_total{method="POST",route="/v1/alerts",status="401"} 1' in shown
    )
    assert "process_resident_memory_bytes" in shown
