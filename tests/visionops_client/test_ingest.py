"""The client of ingest, against a service of a few lines and a clock that does not tick."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from visionops_assets.errors import (
    ContentChangedError,
    RefusedError,
    ServerUnreachableError,
    SettingsError,
)
from visionops_client import ingest as module
from visionops_client.content import CHUNK_BYTES, FileContent
from visionops_client.ingest import IngestClient
from visionops_client.retrying import Retrying

URL = "http://127.0.0.1:8080"
KEY = SecretStr("vo_secret")
Handler = Callable[[httpx.Request], httpx.Response]


def receipt() -> dict[str, Any]:
    return {
        "media_id": str(uuid4()),
        "sha256": "0" * 64,
        "kind": "image",
        "bytes": 3,
        "duplicate": False,
        "status": "stored",
        "said_by_a_newer_service": True,
    }


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status": status, "code": code, "detail": f"about {code}"}
    return httpx.Response(status, json=body, headers=headers)


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    def retrying(retry_for_s: float) -> Retrying:
        return Retrying(retry_for_s, clock_s=clock, pause=clock.pause)

    monkeypatch.setattr(module, "Retrying", retrying)
    return clock


def client_of(handler: Handler, retry_for_s: float = 300.0) -> IngestClient:
    transport = httpx.MockTransport(handler)
    return IngestClient(URL, KEY, retry_for_s=retry_for_s, transport=transport)


def answers(*responses: httpx.Response | Exception) -> Handler:
    queue: Iterator[httpx.Response | Exception] = iter(responses)

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        answer = next(queue)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def test_an_upload_is_a_raw_body_and_says_the_rest_in_the_query() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(201, json=receipt())

    with client_of(handle) as client:
        answer = client.upload(
            b"abc",
            source="gate 7",
            filename="a\n\udcff/ä.png",
            captured_at=datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))),
            idempotency_key="once",
        )
    (request,) = seen
    assert (request.method, request.url.path, request.content) == ("POST", "/v1/media", b"abc")
    assert dict(request.url.params) == {
        "source": "gate 7",
        "filename": "a\n?/ä.png",
        "captured_at": "2026-03-01T10:00:00+00:00",
    }
    assert request.headers["authorization"] == "Bearer vo_secret"
    assert request.headers["content-length"] == "3"
    assert "transfer-encoding" not in request.headers
    assert request.headers["idempotency-key"] == "once"
    assert (answer.kind, answer.bytes, answer.duplicate) == ("image", 3, False)


def test_a_long_name_keeps_its_end() -> None:
    names: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        names.append(request.url.params["filename"])
        return httpx.Response(201, json=receipt())

    client_of(handle).upload(b"abc", source="s", filename="x" * 300 + ".png")
    assert names == ["x" * 251 + ".png"]


def test_a_file_is_sent_whole_at_each_attempt(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"abc" * CHUNK_BYTES)
    bodies: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        if len(bodies) == 1:
            raise httpx.ReadError("reset")
        return httpx.Response(201, json=receipt())

    client_of(handle).upload(path, source="s")
    assert bodies == [path.read_bytes()] * 2


def test_a_file_that_became_shorter_is_not_sent_again(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    content = FileContent(path)
    path.write_bytes(b"a")
    with pytest.raises(ContentChangedError, match=r"a\.png"):
        client_of(answers()).upload(content, source="s")


def test_what_fails_for_now_is_tried_again(clock: Clock) -> None:
    handler = answers(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        problem(429, "rate_limited", **{"Retry-After": "7"}),
        problem(503, "server_unreachable", **{"Retry-After": "5"}),
        problem(408, "slow_body"),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(201, json=receipt()),
    )
    assert client_of(handler).upload(b"abc", source="s").bytes == 3
    asked_s = [0, 0, 7, 5, 0, 0]
    for failures, (pause_s, least_s) in enumerate(zip(clock.pauses_s, asked_s, strict=True)):
        assert least_s <= pause_s <= least_s + min(30, 0.5 * 2**failures)


def test_retry_after_may_be_a_date(clock: Clock) -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    header = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    handler = answers(
        problem(503, "server_unreachable", **{"Retry-After": header}),
        problem(503, "server_unreachable", **{"Retry-After": "soon"}),
        httpx.Response(201, json=receipt()),
    )
    client_of(handler).upload(b"abc", source="s")
    assert 50 < clock.pauses_s[0] < 62
    assert clock.pauses_s[1] <= 1


def test_it_gives_up_in_time(clock: Clock) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return problem(429, "rate_limited", **{"Retry-After": "4"})

    with pytest.raises(ServerUnreachableError, match="429: about rate_limited"):
        client_of(handle, retry_for_s=20).upload(b"abc", source="s")
    assert len(clock.pauses_s) >= 1
    assert clock.now_s <= 20


def test_stop_retrying_ends_the_wait() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        client.stop_retrying()
        return problem(503, "server_unreachable", **{"Retry-After": "60"})

    client = client_of(handle)
    with pytest.raises(ServerUnreachableError):
        client.upload(b"abc", source="s")


@pytest.mark.parametrize(
    ("response", "status", "reason", "detail"),
    [
        (problem(422, "empty"), 422, "empty", "about empty"),
        (problem(401, "unauthenticated"), 401, "unauthenticated", "about unauthenticated"),
        (httpx.Response(404, text="<h1>No\n</h1>"), 404, "http_404", "<h1>No </h1>"),
        (httpx.Response(500, json=[1]), 500, "http_500", "[1]"),
        (httpx.Response(301), 301, "http_301", "Moved Permanently"),
    ],
    ids=["content", "key", "other server", "odd JSON", "redirect"],
)
def test_a_refusal_is_final(
    clock: Clock, response: httpx.Response, status: int, reason: str, detail: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        client_of(answers(response)).upload(b"abc", source="s")
    error = caught.value
    assert (error.status, error.reason, error.detail) == (status, reason, detail)
    assert clock.pauses_s == []


@pytest.mark.parametrize("body", [b"{}", b"<h1>Welcome</h1>"])
def test_another_service_at_the_address_is_told(clock: Clock, body: bytes) -> None:
    with pytest.raises(ServerUnreachableError, match="does not answer as VisionOps"):
        client_of(answers(httpx.Response(200, content=body))).upload(b"abc", source="s")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://"])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(SettingsError, match="http://"):
        IngestClient(url, KEY)


def test_check_asks_once() -> None:
    client_of(answers(httpx.Response(200, json={"status": "ok"}))).check()
    with pytest.raises(ServerUnreachableError):
        client_of(answers(httpx.ConnectError("refused"))).check()
    with pytest.raises(ServerUnreachableError):
        client_of(answers(httpx.Response(404))).check()


def test_the_key_is_never_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler = answers(httpx.ConnectError("refused"), problem(403, "forbidden"))
    with pytest.raises(RefusedError) as caught:
        client_of(handler).upload(b"abc", source="s")
    assert "refused" in caplog.text
    assert "vo_secret" not in caplog.text + json.dumps(str(caught.value))
