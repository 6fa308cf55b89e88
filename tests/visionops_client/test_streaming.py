"""Streaming against a real WebSocket server in a thread: what it says, and when it goes away."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_client import GatewayClient, StreamedFrame
from visionops_client import streaming as module

Handler = Callable[[ServerConnection], None]


@contextmanager
def client_of(
    handler: Handler,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> Iterator[GatewayClient]:
    # It waits no longer for a client that left without reading its answers.
    with serve(
        handler, "127.0.0.1", 0, process_request=process_request, close_timeout=0.2
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with GatewayClient(f"http://127.0.0.1:{port}", "vo_secret") as client:
            yield client
        server.shutdown()
        thread.join()


def refuse_each(connection: ServerConnection) -> None:
    """Answer each frame with what it held."""
    try:
        for sequence, frame in enumerate(connection):
            refusal = {"status": 415, "code": bytes(frame).decode(), "detail": "x"}  # type: ignore[arg-type]
            answer = {"sequence": sequence, "prediction": None, "refusal": refusal}
            connection.send(json.dumps(answer))
    except ConnectionClosed:
        pass


def codes(answers: Iterator[StreamedFrame]) -> list[str]:
    return [answer.refusal.code for answer in answers if answer.refusal]


def test_answers_come_in_the_order_of_the_frames_and_then_it_ends() -> None:
    with client_of(refuse_each) as client:
        assert codes(client.stream(f"{i}".encode() for i in range(50))) == [
            f"{i}" for i in range(50)
        ]
        assert codes(client.stream([])) == []


def test_the_key_and_the_parameters_are_in_the_handshake() -> None:
    requests: list[Request] = []

    def keep(_: ServerConnection, request: Request) -> None:
        requests.append(request)

    with client_of(refuse_each, keep) as client:
        codes(client.stream([b"x"], top_k=1, timeout_s=2, sticky_key="camera-1"))
    (request,) = requests
    assert request.path == "/v1/stream?top_k=1&timeout_ms=2000"
    assert request.headers["Authorization"] == "Bearer vo_secret"
    assert request.headers["X-Sticky-Key"] == "camera-1"


@pytest.mark.parametrize(
    ("status", "expected"), [(401, RefusedError), (503, ServerUnreachableError)]
)
def test_a_refused_handshake_is_an_error_of_ours(status: int, expected: type[Exception]) -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        body = json.dumps({"status": status, "code": "no", "detail": "It is so."})
        return connection.respond(status, body)

    with client_of(refuse_each, refuse) as client, pytest.raises(expected, match=r"It is so\."):
        list(client.stream([b"x"]))


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1001, ServerUnreachableError), (1008, RefusedError), (1009, RefusedError)],
)
def test_a_stream_that_the_gateway_ends_is_an_error(code: int, expected: type[Exception]) -> None:
    def end(connection: ServerConnection) -> None:
        connection.recv()
        connection.close(code, "It is so.")

    with client_of(end) as client, pytest.raises(expected, match=r"It is so\."):
        list(client.stream(iter([b"x"])))


def test_what_the_frames_raise_reaches_the_caller() -> None:
    def frames() -> Iterator[bytes]:
        yield b"first"
        raise LookupError("The camera is gone.")

    with client_of(refuse_each) as client:
        answers = client.stream(frames())
        assert next(answers).sequence == 0
        with pytest.raises(LookupError):
            next(answers)


def test_a_frame_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FRAME_BYTES", 3)
    with client_of(refuse_each) as client, pytest.raises(RefusedError, match="too_large"):
        list(client.stream([b"four"]))


def test_a_caller_may_leave_early() -> None:
    with client_of(refuse_each) as client:
        answers = client.stream(f"{i}".encode() for i in range(10_000))
        assert next(answers).sequence == 0
        answers.close()  # type: ignore[attr-defined]
