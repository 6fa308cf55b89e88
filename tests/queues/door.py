"""A door before a broker without one: it ends TLS, asks who comes, and lets all else through.

Connections are checked as Apache Kafka checks them, at the same messages of its protocol
(`SaslHandshake` 17, `SaslAuthenticate` 36); to the broker behind it everybody is the same.
"""

import asyncio
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from tests.queues.scram import Exchange

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
FLEXIBLE_AUTHENTICATE = 2
UNSUPPORTED_MECHANISM, FAILED = 33, 58


class Door:
    """Serves one port; without mechanisms it asks nobody who they are."""

    def __init__(
        self,
        broker_port: int,
        tls: ssl.SSLContext | None,
        mechanisms: Mapping[str, Callable[[], Exchange]],
    ) -> None:
        self._broker_port = broker_port
        self._tls = tls
        self._mechanisms = mechanisms

    @contextmanager
    def open(self, port: int) -> Iterator[None]:
        """Serve for the length of the block."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(
            asyncio.start_server(self._pass, "127.0.0.1", port, ssl=self._tls)
        )
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(_end_others(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        try:
            with suppress(OSError, EOFError, ValueError, KeyError):
                if not self._mechanisms or await self._is_let_in(reader, writer, broker):
                    await asyncio.gather(_pump(reader, broker[1]), _pump(broker[0], writer))
        finally:
            broker[1].close()
            writer.close()

    async def _is_let_in(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """Answer until a client has proved who it is; end with what it may not ask before."""
        exchange: Exchange | None = None
        while True:
            frame = await _frame(reader)
            key, version, correlation, client_length = struct.unpack_from(">hhih", frame)
            body = frame[10 + max(client_length, 0) :]
            if key == API_VERSIONS:
                _send(broker[1], frame)
                _send(writer, await _frame(broker[0]))
            elif key == HANDSHAKE:
                exchange = self._begin(body[2:].decode())
                code = 0 if exchange else UNSUPPORTED_MECHANISM
                _send(writer, struct.pack(">ih", correlation, code) + self._names())
            elif key == AUTHENTICATE and exchange is not None:
                answer, is_in = answer_to(exchange, _bytes_in(body, version))
                _send(writer, struct.pack(">i", correlation) + _answered(version, answer))
                if is_in or answer is None:
                    return is_in
            else:
                return False

    def _begin(self, name: str) -> Exchange | None:
        if name not in self._mechanisms:
            return None
        exchange = self._mechanisms[name]()
        next(exchange)
        return exchange

    def _names(self) -> bytes:
        names = [struct.pack(">h", len(name)) + name.encode() for name in self._mechanisms]
        return struct.pack(">i", len(names)) + b"".join(names)


def answer_to(exchange: Exchange, said: bytes) -> tuple[bytes | None, bool]:
    """Return the answer to what a client says, and whether it is in; no answer refuses it."""
    try:
        return exchange.send(said)
    except StopIteration:
        return None, False


def _bytes_in(body: bytes, version: int) -> bytes:
    """Read the one field of a `SaslAuthenticate` request: bytes with their length before them."""
    if version < FLEXIBLE_AUTHENTICATE:
        return body[4:]
    # After the tags of the header comes a length of one or two bytes, plus one.
    short = body[1] < 0x80
    length = (body[1] if short else (body[1] & 0x7F) | body[2] << 7) - 1
    start = 2 if short else 3
    return body[start : start + length]


def _answered(version: int, answer: bytes | None) -> bytes:
    """Write the body of a `SaslAuthenticate` response, of a session without an end."""
    code, text, content = (FAILED, b"no", b"") if answer is None else (0, b"", answer)
    if version < FLEXIBLE_AUTHENTICATE:
        lifetime = struct.pack(">q", 0) if version else b""
        return (
            struct.pack(">hh", code, len(text)) + text + struct.pack(">i", len(content)) + content
        ) + lifetime
    compact = [_compact(len(part) + 1) + part for part in (text, content)]
    return b"\0" + struct.pack(">h", code) + b"".join(compact) + struct.pack(">q", 0) + b"\0"


def _compact(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65_536):
        writer.write(content)
        await writer.drain()
    writer.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
