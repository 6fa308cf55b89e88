"""Attacks on the connections of our HTTP services: heads, idle connections, noise, streams."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.gateway_process import GatewayProcess, running_gateway
from tests.stacks import key_for, key_header
from tests.vision.corpus import picture, saved
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import KEY_PATTERN, bearer_header, revoke
from visionops_assets.contracts import Scope
from visionops_assets.services.http.connections import MAX_CONNECTIONS
from visionops_assets.settings import Settings

PNG = saved(picture(), "PNG")
SESSION = "/v1/session"
MAX_IN_FLIGHT = 8
CLOSED_WITHIN_S = 12.0


@pytest.fixture(scope="module")
def gateway(quiet_stack: Settings) -> Iterator[GatewayProcess]:
    with running_gateway("nothing", GATEWAY_MAX_IN_FLIGHT=str(MAX_IN_FLIGHT)) as gateway:
        yield gateway


def test_more_idle_connections_than_a_service_may_have(gateway: GatewayProcess) -> None:
    """2,100 idle connections without a key: others are let in, and answered within a second."""
    wanted = MAX_CONNECTIONS + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * wanted)), hard))
    with ExitStack() as idle:
        for _ in range(wanted):
            idle.enter_context(socket.create_connection(gateway.address))
        started_s = time.monotonic()
        answer = httpx.get(f"{gateway.url}{SESSION}", headers=gateway.headers, trust_env=False)
        assert answer.status_code == 200
        assert time.monotonic() - started_s < 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_header_of_150_megabytes(gateway: GatewayProcess) -> None:
    """One header that does not end, without a key, takes no memory and is cut off."""
    process = psutil.Process(gateway.process.pid)
    before, sent, piece = process.memory_info().rss, 0, b"a" * 100_000
    with socket.create_connection(gateway.address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        with suppress(ConnectionError):
            while sent < 150_000_000:
                connection.sendall(piece)
                sent += len(piece)
    assert sent < 150_000_000
    assert process.memory_info().rss - before < 10_000_000


def test_a_head_that_comes_byte_by_byte(gateway: GatewayProcess) -> None:
    """A head that is never whole is refused with 408 after 10 s, and its connection closed."""
    with socket.create_connection(gateway.address, timeout=CLOSED_WITHIN_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert b"slow_head" in connection.recv(4_096)


def test_what_is_no_request_of_http(gateway: GatewayProcess) -> None:
    """What the HTTP server refuses by itself is a problem with a code, too."""
    with socket.create_connection(gateway.address) as connection:
        connection.sendall(b"junk\r\n\r\n")
        answer = connection.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b'"code":"malformed_request"' in answer


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, deflate"])
def test_a_compressed_body(gateway: GatewayProcess, encoding: str) -> None:
    """A Content-Encoding that is not unpacked is refused with 415, not taken for the image."""
    headers = gateway.headers | {"Content-Encoding": encoding}
    answer = gateway.http.post("/v1/predict", content=PNG, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"


def test_noise_without_keys_beside_a_new_key(gateway: GatewayProcess) -> None:
    """An address that floods without a key, or with wrong ones, shuts out no new key of its own."""
    junk = [{}, {"X-API-Key": "junk"}, {"X-API-Key": f"vo_00000000_{'x' * 43}"}]
    seen = [gateway.http.get(SESSION, headers=headers).status_code for headers in junk * 20]
    assert 429 in seen
    answer = gateway.http.get(SESSION, headers=key_header(Scope.PREDICT))
    assert answer.status_code == 200


def test_a_forged_address(gateway: GatewayProcess) -> None:
    """`X-Forwarded-For` of anybody does not make guesses count for another address."""
    seen = [
        gateway.http.get(SESSION, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
        for n in range(60)
    ]
    assert 429 in seen


def test_a_key_that_holds_streams_idle(gateway: GatewayProcess) -> None:
    """One key opens as many streams as it can and sends nothing: others can open one."""
    url = f"ws://{gateway.address[0]}:{gateway.address[1]}/v1/stream"
    mine, other = (key_header(Scope.PREDICT) for _ in range(2))
    with ExitStack() as streams:
        for _ in range(MAX_IN_FLIGHT // 2):
            streams.enter_context(connect(url, additional_headers=mine, proxy=None))
        with pytest.raises(InvalidStatus, match="429"):
            connect(url, additional_headers=mine, proxy=None)
        streams.enter_context(connect(url, additional_headers=other, proxy=None))


def test_an_idle_stream_of_a_revoked_key(gateway: GatewayProcess) -> None:
    """A stream on which nothing comes is closed when its key is revoked."""
    url = f"ws://{gateway.address[0]}:{gateway.address[1]}/v1/stream"
    key = key_for(Scope.PREDICT)
    match = KEY_PATTERN.fullmatch(key.get_secret_value())
    assert match is not None
    with connect(url, additional_headers=bearer_header(key), proxy=None) as stream:
        with Catalog().begin() as session:
            revoke(session, match["prefix"])
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv(CLOSED_WITHIN_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "unauthenticated")
