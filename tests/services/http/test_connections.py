"""Connections of our HTTP server: how long and how large a head may be, and how many they are."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from visionops_assets.services.http import connections
from visionops_assets.services.http.connections import (
    MAX_HEAD_BYTES,
    GuardedProtocol,
    max_connections,
)

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_S = 5.0
Test = Callable[[int], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes of the body; wait for it as long as it takes."""
    if scope["type"] != "http":
        return
    count, more = 0, True
    while more:
        message = await receive()
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    content = str(count).encode()
    length = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": content})


def serving(test: Test, most: int = 100) -> None:
    """Run a test beside a server with so many connections."""

    class Protocol(GuardedProtocol):
        max_connections = most

    async def run() -> None:
        config = uvicorn.Config(
            app, port=0, http=Protocol, lifespan="off", log_config=None, timeout_keep_alive=1
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        try:
            await asyncio.wait_for(test(server.servers[0].sockets[0].getsockname()[1]), 20)
        finally:
            server.force_exit = True
            await server.shutdown()

    asyncio.run(run())


class Connection:
    """A connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer, or 0 if the connection was closed."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, b""
            lines = head.lower().split(b"\r\n")
            length = next(int(n[16:]) for n in lines if n.startswith(b"content-length: "))
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def problem(self) -> tuple[int, str]:
        """Return status and code of a refusal, after which the connection must be closed."""
        status, body = await self.answer()
        assert json.loads(body)["status"] == status
        assert (await self.answer())[0] == 0
        return status, json.loads(body)["code"]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.3)


def test_requests_are_answered_one_after_the_other_and_pipelined() -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            for _ in range(3):
                await connection.send(HEAD + b"Content-Length: 5\r\n\r\n12345")
                assert await connection.answer() == (200, b"5")
            await connection.send(GET * 3)
            assert [await connection.answer() for _ in range(3)] == [(200, b"0")] * 3

    serving(test)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [(b"GET / HT", (408, "slow_head")), (HEAD, (408, "slow_head"))],
)
def test_a_head_that_does_not_end_is_refused(sent: bytes, expected: tuple[int, str]) -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            await connection.send(sent)
            assert await connection.problem() == expected
        async with connected(port) as trickling:
            # Every byte comes in good time; it is the whole that takes too long.
            with suppress(ConnectionError):
                for byte in HEAD[:10]:
                    await trickling.send(bytes([byte]))
                    await asyncio.sleep(0.05)
            # Its answer is lost if a byte came after it.
            assert (await trickling.answer())[0] in {0, 408}

    serving(test)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            assert await connection.answer() == (0, b"")

    serving(test)


@pytest.mark.usefixtures("impatient")
def test_a_second_head_has_its_time_too_and_a_body_has_its_own() -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            await connection.send(HEAD + b"Content-Length: 2\r\n\r\n1")
            await asyncio.sleep(0.6)
            await connection.send(b"2" + b"GET /")
            assert await connection.answer() == (200, b"2")
            await connection.send(b" HT")
            assert await connection.problem() == (408, "slow_head")

    serving(test)


@pytest.mark.parametrize(
    "grow",
    [
        HEAD + b"X: ",
        b"GET /",
        HEAD + b"X" * 100,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["value", "address", "name", "trailer", "extension"],
)
def test_a_head_that_grows_for_ever_is_refused_soon(grow: bytes) -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            await connection.send(grow)
            sent = 0
            try:
                while sent < 100 * MAX_HEAD_BYTES:
                    await connection.send(b"a" * 10_000)
                    sent += 10_000
                    await asyncio.sleep(0)
            except ConnectionError:
                return
            raise AssertionError("It took everything.")

    serving(test)


@pytest.mark.parametrize("lines", [1, 1_000], ids=["one header", "many headers"])
def test_a_head_that_is_too_large_as_it_comes_is_refused(lines: int) -> None:
    async def test(port: int) -> None:
        for size, status in ((MAX_HEAD_BYTES // 2, 200), (2 * MAX_HEAD_BYTES, 431)):
            async with connected(port) as connection:
                header = b"X: " + b"a" * (size // lines) + b"\r\n"
                await connection.send(GET[:-2] + header * lines + b"\r\n")
                if status == 200:
                    assert (await connection.answer())[0] == status
                else:
                    assert await connection.problem() == (431, "head_too_large")

    serving(test)


@pytest.mark.parametrize(
    "sent",
    [
        b"junk\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        b"AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_a_problem_with_a_code(sent: bytes) -> None:
    async def test(port: int) -> None:
        async with connected(port) as connection:
            await connection.send(sent)
            assert await connection.problem() == (400, "malformed_request")

    serving(test)


def test_idle_connections_give_way_to_new_ones() -> None:
    async def test(port: int) -> None:
        async with connected(port) as busy, connected(port) as used:
            await busy.send(HEAD + b"Content-Length: 2\r\n\r\n1")
            await used.send(GET)
            assert await used.answer() == (200, b"0")
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            async with connected(port) as new:
                await new.send(GET)
                assert await new.answer() == (200, b"0")
            assert await used.answer() == (0, b"")
            await busy.send(b"2")
            assert await busy.answer() == (200, b"2")
            for _, writer in idle:
                writer.close()

    serving(test, most=5)


def test_more_connections_than_fit_are_told_so_if_all_are_in_use() -> None:
    async def test(port: int) -> None:
        async with connected(port) as first, connected(port) as second:
            for busy in (first, second):
                await busy.send(HEAD + b"Content-Length: 2\r\n\r\n1")
            await asyncio.sleep(0.05)
            async with connected(port) as third:
                assert await third.problem() == (503, "too_many_connections")
            for busy in (first, second):
                await busy.send(b"2")
                assert await busy.answer() == (200, b"2")
            async with connected(port) as third:
                await third.send(GET)
                assert (await third.answer())[0] == 200

    serving(test, most=2)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1_024, 1_024), 824),
        ((1_024, 1_048_576), 2_000),
        ((64, 64), 1),
        ((-1, -1), 2_000),
        ((1_048_576, 1_048_576), 2_000),
    ],
)
def test_connections_leave_files_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], expected: int
) -> None:
    given = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: given.append(new))
    assert max_connections() == expected
    assert given == ([(2_200, limits[1])] if limits == (1_024, 1_048_576) else [])
