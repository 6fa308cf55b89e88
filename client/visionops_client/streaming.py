"""Frames out and predictions in, over one WebSocket."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr, ValidationError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from visionops_client.addresses import is_loopback
from visionops_client.connection import failure_of
from visionops_client.errors import RefusedError, ServerUnreachableError, VisionOpsError
from visionops_client.predictions import StreamedFrame

CLOSE_TIMEOUT_S = 2.0
MAX_FRAME_BYTES = 16 * 1024**2
"""The gateway cuts the connection at a larger frame, often before it can say why."""

_PROBLEM_BY_CLOSING = {
    CloseCode.UNSUPPORTED_DATA: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    CloseCode.POLICY_VIOLATION: (HTTPStatus.FORBIDDEN, "forbidden"),
    CloseCode.MESSAGE_TOO_BIG: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
}


def stream_frames(
    url: str,
    path: str,
    api_key: SecretStr | None,
    frames: Iterable[bytes],
    *,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    timeout_s: float,
) -> Iterator[StreamedFrame]:
    """Send frames and yield their answers; see `GatewayClient.stream`."""
    address = f"ws{url.removeprefix('http')}{path}"
    if params:
        address += f"?{urlencode(params)}"
    with _errors(url), _connected(address, api_key, headers, timeout_s) as websocket:
        sender = _Sender(websocket, frames)
        sender.start()
        answered = 0
        while not sender.is_answered(answered):
            yield _read(websocket.recv(), url)
            answered += 1
        sender.raise_failure()


class _Sender(threading.Thread):
    """Sends the frames, so that answers are read meanwhile."""

    def __init__(self, websocket: ClientConnection, frames: Iterable[bytes]) -> None:
        super().__init__(name="frames", daemon=True)
        self._websocket = websocket
        self._frames = frames
        self._sent = 0
        self._progress = threading.Condition()
        self._is_done = False
        self._failure: Exception | None = None

    def run(self) -> None:
        """Send until the last frame, or until the connection is closed."""
        try:
            for frame in self._frames:
                _check_size(frame)
                self._websocket.send(frame)
                with self._progress:
                    self._sent += 1
                    self._progress.notify()
        except Exception as error:  # From `frames` or the connection: the reader must know.
            self._failure = error
        finally:
            with self._progress:
                self._is_done = True
                self._progress.notify()

    def is_answered(self, answered: int) -> bool:
        """Say whether all frames are answered; without one under way, wait for the next."""
        with self._progress:
            self._progress.wait_for(lambda: self._sent > answered or self._is_done)
            return self._sent <= answered

    def raise_failure(self) -> None:
        """Raise the error that ended the stream before the last frame was sent."""
        if self._failure is not None:
            raise self._failure


def _check_size(frame: bytes) -> None:
    if len(frame) > MAX_FRAME_BYTES:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"A frame has {len(frame):,} bytes; a stream takes {MAX_FRAME_BYTES:,}.",
        )


@contextmanager
def _connected(
    address: str, api_key: SecretStr | None, headers: Mapping[str, str], timeout_s: float
) -> Iterator[ClientConnection]:
    key = {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {}
    with connect(
        address,
        additional_headers={**headers, **key},
        compression=None,
        open_timeout=timeout_s,
        # Answers are few and small: unread ones must not hide the end of the connection.
        max_queue=None,
        close_timeout=CLOSE_TIMEOUT_S,
        proxy=None if is_loopback(address) else True,
    ) as websocket:
        yield websocket


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Turn errors of websockets into ours."""
    try:
        yield
    except InvalidStatus as error:
        answer = error.response
        response = httpx.Response(
            answer.status_code, headers=list(answer.headers.raw_items()), content=bytes(answer.body)
        )
        raise failure_of(url, response) from error
    except ConnectionClosed as error:
        raise _failure_of_closing(url, error) from error
    except (OSError, InvalidHandshake) as error:
        raise ServerUnreachableError(
            f"{url} does not answer: {error or type(error).__name__}."
        ) from error


def _failure_of_closing(url: str, closed: ConnectionClosed) -> VisionOpsError:
    frame = closed.rcvd or closed.sent
    if frame is None:
        return ServerUnreachableError(f"{url}: the connection was lost.")
    try:
        status, code = _PROBLEM_BY_CLOSING[CloseCode(frame.code)]
    except (KeyError, ValueError):
        return ServerUnreachableError(f"{url} ended the stream: {frame.reason or frame.code}")
    return RefusedError(status, code, f"{url} ended the stream: {frame.reason or frame.code}")


def _read(message: str | bytes, url: str) -> StreamedFrame:
    try:
        return StreamedFrame.model_validate_json(message)
    except ValidationError:
        raise ServerUnreachableError(f"{url} does not answer as VisionOps does.") from None
