import asyncio
import json
import logging

import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket

from tests.services.asgi_client import AsgiClient
from tests.services.asgi_websocket import AsgiWebSocket, opened
from visionops_assets.services.http import server as http_server
from visionops_assets.services.http.connections import GuardedProtocol
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.server import LoopbackOnly, PlainBodies, RequestLog
from visionops_assets.services.logs import JsonLines
from visionops_assets.settings import Settings


@pytest.fixture
def client() -> AsgiClient:
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(RequestLog)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return AsgiClient(app)


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 64])
def test_a_plain_request_id_is_kept(client: AsgiClient, given: str) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, 'a"b', "a b"])
def test_another_request_id_is_replaced(client: AsgiClient, given: str) -> None:
    first = client.get("/nowhere", headers={"X-Request-ID": given}).headers["x-request-id"]
    second = client.get("/nowhere", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert len({first, second, given}) == 3


def test_a_request_is_logged_as_one_line_and_a_probe_is_not(
    client: AsgiClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "visionops_assets"):
        client.get("/healthz")
        client.get("/nowhere", headers={"X-Request-ID": "r1"})
    (record,) = (r for r in caplog.records if r.message == "request")
    line = json.loads(JsonLines().format(record))
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nowhere", 404)


def test_a_line_break_cannot_forge_a_log_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, 'a\n{"level": "fake"}', None, None)
    assert "\n" not in JsonLines().format(record)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "localhost:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "127.0.0.1:8080", "origin": "http://localhost:3000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "[127.0.0.1"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "https://evil.example"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "null"}, 403),
    ],
)
def test_a_loopback_service_refuses_pages_of_other_hosts(
    headers: dict[str, str], status: int
) -> None:
    app = FastAPI()
    app.get("/")(lambda: "here")
    answer = AsgiClient(LoopbackOnly(app)).get("/", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "foreign_origin"
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_of_another_host_opens_no_websocket() -> None:
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()

    async def open_from(headers: dict[str, str]) -> tuple[int, str]:
        return await AsgiWebSocket(LoopbackOnly(app), "/stream", headers).refusal()

    async def test() -> None:
        local = {"host": "127.0.0.1:8080"}
        async with opened(LoopbackOnly(app), "/stream", local):
            pass
        for headers in (local | {"origin": "https://evil.example"}, {"host": "evil.example"}):
            assert await open_from(headers) == (403, "foreign_origin")

    asyncio.run(test())


@pytest.mark.parametrize(
    ("encoding", "status"),
    [
        (None, 200),
        ("", 200),
        ("identity", 200),
        ("Identity, identity", 200),
        ("gzip", 415),
        ("identity, br", 415),
        ("x-unknown", 415),
    ],
)
def test_a_body_that_is_compressed_is_refused(encoding: str | None, status: int) -> None:
    app = FastAPI()
    app.post("/")(lambda: "here")
    headers = {} if encoding is None else {"content-encoding": encoding}
    answer = AsgiClient(PlainBodies(app)).post("/", content=b"x", headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "unsupported_media_type"
        assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("proxies", "given", "seen"),
    [
        ("", "1.2.3.4", "127.0.0.1"),
        ("10.0.0.0/8", "1.2.3.4", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8, 127.0.0.0/24", "1.2.3.4, 10.0.0.9", "1.2.3.4"),
        # The proxy adds the address that it saw to what the client made up.
        ("127.0.0.1", "9.9.9.9, 1.2.3.4", "1.2.3.4"),
    ],
)
def test_the_address_in_a_header_is_believed_of_configured_proxies_alone(
    monkeypatch: pytest.MonkeyPatch, proxies: str, given: str, seen: str
) -> None:
    ran: list[uvicorn.Config] = []

    class Server:
        started = True

        def __init__(self, config: uvicorn.Config, _drain: object) -> None:
            ran.append(config)

        def run(self) -> None:
            pass

    monkeypatch.setattr(http_server, "_Server", Server)
    monkeypatch.setattr(http_server, "configure_logging", lambda: None)
    monkeypatch.setattr(http_server, "max_connections", lambda: 10)
    monkeypatch.setattr(http_server, "load_settings", lambda: Settings(trusted_proxies=proxies))
    app = FastAPI()

    @app.get("/")
    def whose(request: Request) -> str:
        return request.client.host if request.client else "none"

    http_server.serve(app, "http://0.0.0.0:1")
    (config,) = ran
    config.load()
    assert config.http_protocol_class is GuardedProtocol
    assert GuardedProtocol.max_connections == 10
    answer = AsgiClient(config.loaded_app).get("/", headers={"X-Forwarded-For": given})
    assert answer.json() == seen
