"""The client of the ingest service: one call an upload, sent again until it is acknowledged."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr, ValidationError

from visionops_assets.client.addresses import is_loopback
from visionops_assets.client.content import Content, as_content
from visionops_assets.client.retrying import Retrying, TemporaryError
from visionops_assets.contracts import MediaKind, MediaStatus, Record
from visionops_assets.errors import RefusedError, ServerUnreachableError, SettingsError

MAX_FILENAME_CHARACTERS = 255

# An upload may be sent again after each of these: equal bytes of a source are one media file.
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


class Receipt(Record, extra="ignore"):
    """The acknowledgement: these bytes are stored under this id, and will be processed."""

    media_id: UUID
    sha256: str
    kind: MediaKind
    bytes: int
    duplicate: bool
    status: MediaStatus


class IngestClient:
    """Uploads to one ingest service. Safe to use from several threads.

    `timeout_s` is for connecting, and for each wait for the server to read or to answer;
    `retry_for_s` is how long one upload is tried, from its first attempt to its last.

    Raises:
        SettingsError: `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None,
        *,
        timeout_s: float = 60.0,
        retry_for_s: float = 300.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise SettingsError(f"The address of ingest must begin with http:// or https://: {url}")
        self._url = url.rstrip("/")
        self._retrying = Retrying(retry_for_s)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, pool=None),
            trust_env=not is_loopback(url),
            transport=transport,
        )

    def __enter__(self) -> Self:
        """Open it for the length of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.stop_retrying()
        self._http.close()

    def stop_retrying(self) -> None:
        """Let requests under way end, and send none of them again."""
        self._retrying.stop()

    def check(self) -> None:
        """Ask once whether the service answers.

        Raises:
            ServerUnreachableError: it does not.
        """
        if not self._send("GET", "/healthz").is_success:
            raise ServerUnreachableError(f"{self._url} is no VisionOps service, or it is unwell.")

    def upload(
        self,
        content: bytes | Path | Content,
        *,
        source: str,
        filename: str | None = None,
        captured_at: datetime | None = None,
        label: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Upload a file, streamed, and return once it is acknowledged.

        Raises:
            RefusedError: the service refuses this file or this key.
            ServerUnreachableError: not acknowledged within `retry_for_s`.
            ContentChangedError: the file changed while it was read.
            OSError: the file cannot be read.
        """
        body = as_content(content)
        described = {
            "source": source,
            "filename": _shown_name(filename) if filename else None,
            "captured_at": _in_utc(captured_at) if captured_at else None,
            "label": label,
        }
        params = {name: value for name, value in described.items() if value is not None}
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(body.size_bytes),
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key

        def attempt() -> httpx.Response:
            with closing(body.chunks()) as chunks:
                return self._send(
                    "POST", "/v1/media", params=params, headers=headers, content=chunks
                )

        return _receipt(self._retrying.call(attempt))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request once.

        Raises:
            TemporaryError: no answer, or one that says to come again.
        """
        try:
            response = self._http.request(method, self._url + path, **options)
        except httpx.TransportError as error:
            raise TemporaryError(
                f"{self._url} does not answer: {error or type(error).__name__}."
            ) from error
        if response.status_code in _TEMPORARY_STATUSES:
            _, detail = _problem(response)
            raise TemporaryError(
                f"{self._url} answered {response.status_code}: {detail}",
                _retry_after_s(response.headers.get("Retry-After", "")),
            )
        return response


def _receipt(response: httpx.Response) -> Receipt:
    if not response.is_success:
        reason, detail = _problem(response)
        raise RefusedError(response.status_code, reason, detail)
    try:
        return Receipt.model_validate_json(response.content)
    except ValidationError:
        raise ServerUnreachableError(
            f"{response.url.copy_with(query=None)} does not answer as VisionOps does."
        ) from None


def _problem(response: httpx.Response) -> tuple[str, str]:
    """Return code and detail of a problem document (RFC 9457), or the best of what there is."""
    try:
        document = response.json()
        return str(document["code"]), str(document["detail"])
    except (ValueError, KeyError, TypeError):
        text = " ".join(response.text.split())[:_SHOWN_CHARACTERS]
        return f"http_{response.status_code}", text or response.reason_phrase


def _retry_after_s(header: str, now: Callable[[], float] = time.time) -> float:
    """Return the wait that `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3)."""
    if header.isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now())
    except ValueError:
        return 0.0


def _shown_name(filename: str) -> str:
    """Make a name of any bytes fit for a URL; the end of a long one is kept, with the extension."""
    return filename.encode(errors="replace").decode()[-MAX_FILENAME_CHARACTERS:]


def _in_utc(time: datetime) -> str:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
