"""Clients of ingest: a proper one, one that writes to the socket itself, and a second replica."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from tests.waiting import eventually

TIMEOUT_S = 60.0
TUS = {"Tus-Resumable": "1.0.0"}
PART = {"Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Client:
    """Sends requests with one key."""

    url: str
    headers: dict[str, str]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""
        headers = self.headers | options.pop("headers", {})
        url = httpx.URL(self.url).join(path)
        return httpx.request(
            method, url, headers=headers, timeout=TIMEOUT_S, trust_env=False, **options
        )

    def upload(self, data: bytes, filename: str = "a.png", **fields: str) -> httpx.Response:
        """Upload a file by a form."""
        return self.request("POST", "/v1/media", files={"file": (filename, data)}, data=fields)

    def upload_raw(
        self,
        data: bytes | Iterable[bytes],
        headers: dict[str, str] | None = None,
        **params: str,
    ) -> httpx.Response:
        """Upload a file as the body, in chunks if it is no bytes."""
        return self.request("POST", "/v1/media", content=data, params=params, headers=headers or {})

    def upload_batch(
        self,
        files: Iterable[tuple[str, bytes]],
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> httpx.Response:
        """Upload several files."""
        form = [("file", file) for file in files]
        return self.request(
            "POST", "/v1/media/batch", files=form, data=fields, headers=headers or {}
        )

    def state(self, media_id: str) -> dict[str, Any]:
        """Ask what became of a file."""
        answer: dict[str, Any] = self.request("GET", f"/v1/media/{media_id}").json()
        return answer

    def begin(self, total_bytes: int, metadata: str = "") -> str:
        """Begin a resumable upload; return its path."""
        headers = TUS | {"Upload-Length": str(total_bytes), "Upload-Metadata": metadata}
        answer = self.request("POST", "/v1/uploads", headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, path: str, offset: int, data: bytes) -> httpx.Response:
        """Go on with a resumable upload."""
        headers = TUS | PART | {"Upload-Offset": str(offset)}
        return self.request("PATCH", path, headers=headers, content=data)

    def offset(self, path: str) -> int | None:
        """Ask where a resumable upload stands; None if there is none."""
        answer = self.request("HEAD", path, headers=TUS)
        return int(answer.headers["Upload-Offset"]) if answer.status_code == 200 else None

    def wire(self, method: str, path: str, headers: dict[str, str]) -> "Wire":
        """Send the head of a request, and nothing of its body."""
        return Wire(self.url, method, path, self.headers | headers)


class Wire:
    """A connection on which a request is written byte by byte."""

    def __init__(self, url: str, method: str, path: str, headers: dict[str, str]) -> None:
        self.request_id = uuid4().hex
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self._socket = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {address.netloc}"]
        lines.append(f"X-Request-ID: {self.request_id}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Write."""
        self._socket.sendall(data)

    def answer(self) -> tuple[int, str]:
        """Read the status of an answer, and the code of its problem."""
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        body = response.read()
        is_problem = response.headers.get_content_type() == "application/problem+json"
        return response.status, json.loads(body)["code"] if is_problem else ""


@dataclass(frozen=True)
class Replica:
    """A second process of ingest, on the servers of the stack."""

    process: "subprocess.Popen[bytes]"
    client: Client

    def has_died(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None


@contextmanager
def replica(
    headers: dict[str, str], ready_path: str = "/readyz", **environment: str
) -> Iterator[Replica]:
    """Run ingest for the length of the block, with these `VISIONOPS_` variables.

    It begins once a GET of `ready_path` is answered well.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    variables = {"INGEST_URL": url} | environment
    env = os.environ | {f"VISIONOPS_{name}": value for name, value in variables.items()}
    command = [sys.executable, "-m", "visionops_assets.services.ingest"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            started = Replica(process, Client(url, headers))
            eventually("replica", lambda: _is_ready(url + ready_path))
            yield started
        finally:
            process.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=TIMEOUT_S).is_success
    except httpx.TransportError:
        return False
