import asyncio
from collections.abc import Mapping

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.services.asgi_client import AsgiClient
from tests.services.asgi_websocket import AsgiWebSocket, opened
from visionops_assets.services.dagster_webserver import (
    GuardedWebserver,
    OwnPagesOnly,
    allowed_hosts,
)
from visionops_assets.services.http.server import LOOPBACK_HOSTS
from visionops_assets.settings import Settings

OWN = {"host": "127.0.0.1:3000"}
JSON = {"content-type": "application/json"}
FOREIGN = "https://attacker.example"


async def done(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()


def guarded(hosts: frozenset[str] = LOOPBACK_HOSTS) -> OwnPagesOnly:
    routes = [
        Route("/graphql", done, methods=["GET", "POST"]),
        Route("/report", done, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", talk),
    ]
    return OwnPagesOnly(Starlette(routes=routes), hosts)


def status(
    method: str, path: str, headers: Mapping[str, str], hosts: frozenset[str] = LOOPBACK_HOSTS
) -> int:
    answer = AsgiClient(guarded(hosts)).request(method, path, headers=dict(headers))
    return answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        OWN | JSON,
        OWN | JSON | {"origin": "http://127.0.0.1:3000"},
        {"host": "localhost:3000", "content-type": "application/json; charset=utf-8"},
    ],
)
def test_its_own_requests_pass(headers: dict[str, str]) -> None:
    assert status("POST", "/graphql", headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        OWN | JSON | {"origin": FOREIGN},
        OWN | JSON | {"origin": "null"},
        # Another server of this machine, such as one that shows files of the store.
        OWN | JSON | {"origin": "http://127.0.0.1:5000"},
        JSON | {"host": "attacker.example:3000"},
        JSON | {"host": "attacker.example", "origin": "http://attacker.example"},
        JSON | {"host": "["},
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/report"])
def test_pages_of_elsewhere_are_refused(path: str, headers: dict[str, str]) -> None:
    assert status("POST", path, headers) == 403


@pytest.mark.parametrize("path", ["/graphql?query=mutation", "/graphql/?query=mutation"])
def test_graphql_does_nothing_by_get(path: str) -> None:
    """An image of a page of elsewhere is fetched by GET, with no sign of the page."""
    assert status("GET", path, OWN | {"accept": "image/*"}) == 405
    assert status("GET", "/graphql", OWN | {"accept": "text/html,*/*"}) == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/graphql", ""]
)
def test_graphql_takes_only_what_a_browser_asks_about_first(kind: str) -> None:
    assert status("POST", "/graphql", OWN | {"content-type": kind}) == 415


def test_a_socket_of_elsewhere_is_refused() -> None:
    async def test() -> None:
        async with opened(guarded(), "/graphql", OWN):
            pass
        for headers in (OWN | {"origin": FOREIGN}, {"host": "attacker.example"}):
            refusal = await AsgiWebSocket(guarded(), "/graphql", headers).refusal()
            assert refusal == (403, "foreign_origin")

    asyncio.run(test())


def test_away_from_loopback_a_page_may_ask_its_own_host_alone() -> None:
    behind = JSON | {"host": "dagster.example.com"}
    anything: frozenset[str] = frozenset()
    assert status("POST", "/graphql", behind, anything) == 200
    assert (
        status("POST", "/graphql", behind | {"origin": "https://dagster.example.com"}, anything)
        == 200
    )
    assert status("POST", "/graphql", behind | {"origin": FOREIGN}, anything) == 403


def test_the_settings_name_the_hosts() -> None:
    assert allowed_hosts(Settings()) == LOOPBACK_HOSTS
    away = Settings(dagster_url="http://dagster-webserver:3000")
    assert allowed_hosts(away) == frozenset()
    named = away.model_copy(update={"dagster_allowed_hosts": "dagster-webserver, Localhost"})
    assert allowed_hosts(named) == {"dagster-webserver", "localhost"}


def test_dagster_is_given_the_guard_first() -> None:
    (guard, *_) = GuardedWebserver.build_middleware(GuardedWebserver.__new__(GuardedWebserver))
    first: object = guard.cls
    assert first is OwnPagesOnly
