"""Requests to one service, each sent once. No answer, or a refusal, raises one of our errors."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr, ValidationError

from visionops_client.addresses import is_loopback
from visionops_client.errors import RefusedError, ServerUnreachableError, SettingsError
from visionops_client.records import Answer
from visionops_client.retrying import TemporaryError

# After each of these a request may be sent again: equal bytes of a source are one media file, and a
# prediction changes nothing.
_TEMPORARY_STATUSES = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_SHOWN_CHARACTERS = 200

_Answer = TypeVar("_Answer", bound=Answer)


class Connection:
    """The way to one service. Safe to use from several threads.

    Raises:
        SettingsError: `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise SettingsError(
                f"The address of a service must begin with http:// or https://: {url}"
            )
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, pool=None),
            trust_env=not is_loopback(url),
            transport=transport,
        )

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request once, and return the answer to it.

        Raises:
            TemporaryError: no answer, or one that asks to try again.
            RefusedError: any other answer than success.
        """
        try:
            response = self._http.request(method, self.url + path, **options)
        except httpx.TransportError as error:
            raise TemporaryError(
                f"{self.url} does not answer: {error or type(error).__name__}."
            ) from error
        if response.is_success:
            return response
        raise failure_of(self.url, response)

    def lines(self, path: str, **options: Any) -> Iterator[bytes]:
        """Yield the lines of an answer as they come.

        Raises:
            ServerUnreachableError: no answer, or not the whole one.
            RefusedError: any other answer than success.
        """
        rest = b""
        try:
            with self._http.stream("GET", self.url + path, **options) as response:
                if not response.is_success:
                    response.read()
                    raise failure_of(self.url, response)
                for piece in response.iter_bytes():
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from lines
        except httpx.TransportError as error:
            raise TemporaryError(
                f"{self.url} does not answer: {error or type(error).__name__}."
            ) from error
        if rest:
            yield rest


def failure_of(url: str, response: httpx.Response) -> TemporaryError | RefusedError:
    """Return the error that an unsuccessful answer stands for."""
    reason, detail = _problem(response)
    if response.status_code in _TEMPORARY_STATUSES:
        return TemporaryError(
            f"{url} answered {response.status_code}: {detail}",
            _retry_after_s(response.headers.get("Retry-After", "")),
        )
    return RefusedError(response.status_code, reason, detail)


class ServiceClient(ABC):
    """A client of one service, open for the length of a `with` block."""

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


def read_as(model: type[_Answer], response: httpx.Response) -> _Answer:
    """Read the body of an answer.

    Raises:
        ServerUnreachableError: it does not fit `model`, so another server is at this address.
    """
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise not_ours(response) from None


def not_ours(response: httpx.Response) -> ServerUnreachableError:
    """Say that an answer cannot be one of VisionOps."""
    url = response.request.url.copy_with(query=None)
    return ServerUnreachableError(f"{url} does not answer as VisionOps does.")


def _problem(response: httpx.Response) -> tuple[str, str]:
    """Return code and detail of a problem document (RFC 9457), or the best substitute for them."""
    try:
        document = response.json()
        return str(document["code"]), str(document["detail"])
    except (ValueError, KeyError, TypeError):
        text = " ".join(response.text.split())[:_SHOWN_CHARACTERS]
        return f"http_{response.status_code}", text or response.reason_phrase


def _retry_after_s(header: str) -> float:
    """Return the wait that `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3)."""
    if header.isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0
