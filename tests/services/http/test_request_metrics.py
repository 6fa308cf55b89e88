"""What is counted of requests, alike in every service."""

import time

import pytest
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry

from tests.services.asgi_client import AsgiClient
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.request_metrics import MetricsMiddleware, RequestMetrics

ROUTE = "/items/{item}"


def service(registry: CollectorRegistry, *, from_last_byte: bool = False) -> AsgiClient:
    app = FastAPI()
    install_problem_handlers(app)
    metrics = RequestMetrics("test", registry, from_last_byte=from_last_byte)
    app.add_middleware(MetricsMiddleware, metrics=metrics)

    @app.post(ROUTE)
    async def item(item: str, request: Request) -> int:
        if item == "broken":
            raise RuntimeError
        if item == "down":
            raise ServerUnreachableError("down")
        return len(await request.body())

    return AsgiClient(app)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def requests(registry: CollectorRegistry, status: str, route: str = ROUTE) -> float | None:
    labels = {"method": "POST", "route": route, "status": status}
    return registry.get_sample_value("visionops_test_requests_total", labels)


def test_requests_are_counted_by_route_and_status(registry: CollectorRegistry) -> None:
    client = service(registry)
    for path in ("items/1", "items/2", "items/broken", "items/down", "nowhere/1", "nowhere/2"):
        client.post(f"/{path}")
    assert [requests(registry, status) for status in ("200", "500", "503")] == [2, 1, 1]
    assert requests(registry, "404", route="none") == 2


def test_failures_are_counted_from_zero(registry: CollectorRegistry) -> None:
    service(registry).post("/items/1")
    assert [requests(registry, status) for status in ("500", "503")] == [0, 0]


@pytest.mark.parametrize("from_last_byte", [True, False])
def test_a_slow_client_counts_only_from_the_first_byte_on(
    registry: CollectorRegistry, from_last_byte: bool
) -> None:
    async def slow_body() -> object:
        yield b"a"
        time.sleep(0.05)
        yield b"b"

    answer = service(registry, from_last_byte=from_last_byte).post("/items/1", content=slow_body())
    assert answer.json() == 2
    labels = {"route": ROUTE}
    seconds = registry.get_sample_value("visionops_test_request_seconds_sum", labels)
    assert seconds is not None
    assert (seconds < 0.05) is from_last_byte
