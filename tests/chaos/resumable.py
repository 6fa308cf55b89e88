"""A client of resumable uploads (tus 1.0.0) that goes on after whatever happens."""

import base64
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import SecretStr

from visionops_assets.catalog.keys import bearer_header
from visionops_assets.errors import RefusedError
from visionops_client.answers import Receipt
from visionops_client.retrying import Retrying, TemporaryError

TUS = {"Tus-Resumable": "1.0.0"}
PARTS = 3
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_BEGIN_AGAIN = frozenset({HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT})


class ResumableClient:
    """Uploads in parts. Safe to use from several threads."""

    def __init__(self, url: str, key: SecretStr, retry_for_s: float) -> None:
        self._url = url
        self._retrying = Retrying(retry_for_s)
        headers = TUS | bearer_header(key)
        self._http = httpx.Client(headers=headers, timeout=30, trust_env=False)

    def stop_retrying(self) -> None:
        """Let requests under way end, and send none of them again."""
        self._retrying.stop()

    def close(self) -> None:
        """Close the connections. Nothing may be under way."""
        self._http.close()

    def upload(self, data: bytes, source: str) -> Receipt:
        """Upload in parts and return the receipt.

        Raises:
            TemporaryError: not acknowledged in time.
            RefusedError: the service refuses it.
        """
        while True:
            place = self._retrying.call(lambda: self._begin(data, source))
            receipt = self._retrying.call(lambda: self._go_on(place, data))  # noqa: B023 - called at once
            if receipt is not None:
                return receipt

    def _begin(self, data: bytes, source: str) -> str:
        metadata = f"source {base64.b64encode(source.encode()).decode()}"
        headers = {"Upload-Length": str(len(data)), "Upload-Metadata": metadata}
        return str(self._send("POST", "/v1/uploads", headers=headers).headers["Location"])

    def _go_on(self, place: str, data: bytes) -> Receipt | None:
        """Send what is missing; return the receipt, or None if the upload has expired."""
        try:
            offset = int(self._send("HEAD", place).headers["Upload-Offset"])
            while offset < len(data):
                part = data[offset : offset + len(data) // PARTS + 1]
                headers = {
                    "Upload-Offset": str(offset),
                    "Content-Type": "application/offset+octet-stream",
                }
                answer = self._send("PATCH", place, headers=headers, content=part)
                offset = int(answer.headers["Upload-Offset"])
            receipt = self._send("GET", place).json()["receipt"]
        except RefusedError as error:
            if error.status in _GONE:
                return None
            raise
        return Receipt.model_validate(receipt)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, self._url + path, **options)
        except httpx.TransportError as error:
            raise TemporaryError(f"{self._url} does not answer: {error}") from error
        status = answer.status_code
        if status in _BEGIN_AGAIN or status in {502, 503, 504}:
            raise TemporaryError(f"{method} {path} was answered {status}.")
        if not answer.is_success:
            raise RefusedError(status, "refused", answer.text)
        return answer
