"""The HTTP face alone: what is refused before any server is reached, and with which code."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.asgi_client import AsgiClient
from tests.services.ingest_bodies import PNG_HEAD, arriving, collected, cut_at
from visionops_assets.catalog.uploads import UploadLedger
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.access import Access, Principal
from visionops_assets.services.ingest import counting
from visionops_assets.services.ingest.app import create_app
from visionops_assets.services.ingest.received import TOGETHER_FILES
from visionops_assets.settings import Settings

TUS = {"Tus-Resumable": "1.0.0"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


async def _admit(*_: object) -> Principal:
    return Principal("client", "00000000", frozenset({Scope.INGEST}))


UNKNOWN_ID = UUID(int=1)


@asynccontextmanager
async def _no_catalog(_: UploadLedger) -> AsyncIterator[None]:
    raise ServerUnreachableError("The catalog is down.")
    yield


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsgiClient:
    monkeypatch.setattr(Access, "admit", _admit)
    return AsgiClient(create_app(Settings(home=tmp_path, max_upload_bytes=1_000)))


@pytest.fixture
def client_without_catalog(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> AsgiClient:
    monkeypatch.setattr(UploadLedger, "connection", _no_catalog)
    return client


@pytest.fixture
def client_without_store(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> AsgiClient:
    """Intents are noted by nobody; what is refused is refused without the store."""

    async def do_nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(UploadLedger, "open_intents", do_nothing)
    monkeypatch.setattr(UploadLedger, "forget", do_nothing)
    monkeypatch.setattr(ObjectStore, "delete_async", do_nothing)
    return client


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"label": "a\0b"}, "label: must not contain NUL"),
        ({"source": "a\0b"}, "source: must not contain NUL"),
        ({"source": "a" * 1_000}, "source: "),
        ({"captured_at": "yesterday"}, "captured_at: "),
        ({"sauce": "a"}, "sauce: "),
    ],
)
@pytest.mark.parametrize("path", ["/v1/media", "/v1/media/batch"])
def test_an_unusable_parameter_is_a_clear_422(
    client: AsgiClient, path: str, query: dict[str, str], named: str
) -> None:
    response = client.post(path, content=PNG_HEAD, params=query)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["detail"].startswith(named)


@pytest.mark.parametrize(
    ("options", "status", "code", "detail"),
    [
        ({"headers": {"Transfer-Encoding": ""}}, 400, "invalid_content_length", "The request has"),
        ({"files": {"label": (None, "7")}}, 422, "invalid_request", "file: no file came"),
        ({"headers": FORM, "content": b"--b--"}, 422, "invalid_request", "file: no file came"),
        ({"headers": FORM, "content": b"x"}, 422, "invalid_request", "The form is malformed"),
        ({"headers": {"Content-Type": "multipart/form-data"}}, 422, "invalid_request", "The Cont"),
        ({"content": b"x" * 100_000}, 413, "too_large", "The body has more"),
        ({"files": {"file": b"x" * 100_000}}, 413, "too_large", "The body has more"),
        ({"headers": {"Idempotency-Key": "a b"}}, 422, "invalid_request", "Idempotency-Key"),
        ({"headers": {"Idempotency-Key": "a" * 256}}, 422, "invalid_request", "Idempotency-Key"),
    ],
)
def test_an_unusable_request_is_refused_at_once(
    client: AsgiClient, options: dict[str, Any], status: int, code: str, detail: str
) -> None:
    response = client.post("/v1/media", **options)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["detail"].startswith(detail)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"#!/bin/sh", 415, "unsupported_media_type"),
        (PNG_HEAD.ljust(1_001, b"\0"), 413, "too_large"),
    ],
)
@pytest.mark.parametrize("as_form", [False, True], ids=["raw", "form"])
def test_unusable_content_has_its_code(
    client_without_store: AsgiClient, content: bytes, status: int, code: str, as_form: bool
) -> None:
    options = {"files": {"file": content}} if as_form else {"content": content}
    response = client_without_store.post("/v1/media", **options)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_one_file_too_many_is_refused(client_without_store: AsgiClient) -> None:
    files = [("file", b"#!/bin/sh")] * 2
    response = client_without_store.post("/v1/media", files=files)
    assert response.status_code == 422
    assert "POST /v1/media/batch" in response.json()["detail"]


def test_a_chunked_form_over_the_limit_is_too_large(client_without_store: AsgiClient) -> None:
    async def form() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + PNG_HEAD
        for _ in range(100):
            yield b"\0" * 1_000

    response = client_without_store.post("/v1/media", content=form(), headers=FORM)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_slow_client_does_not_keep_its_connection(
    client_without_store: AsgiClient, tmp_path: Path
) -> None:
    hasty = AsgiClient(create_app(Settings(home=tmp_path, body_idle_timeout_s=0.05)))

    async def body() -> AsyncIterator[bytes]:
        yield PNG_HEAD
        await asyncio.sleep(60)

    response = hasty.post("/v1/media", content=body())
    assert (response.status_code, response.json()["code"]) == (408, "slow_body")
    assert response.headers["connection"] == "close"


FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def batch_of(files: int, bytes_per_file: int = 1) -> list[bytes]:
    part = FILE + b"x" * bytes_per_file + b"\r\n"
    return [part] * files + [b"--b--\r\n"]


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("files", "status", "code"),
    [(500, 503, "server_unreachable"), (501, 422, "invalid_request")],
)
def test_a_batch_with_too_many_files_is_refused_before_one_is_stored(
    client_without_catalog: AsgiClient, is_chunked: bool, files: int, status: int, code: str
) -> None:
    """Without the catalog not even the first file can be stored."""
    parts = batch_of(files)
    content = arriving(parts) if is_chunked else b"".join(parts)
    answer = client_without_catalog.post("/v1/media/batch", content=content, headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if status == 422:
        assert "more than 500" in answer.json()["detail"]


def test_a_batch_is_refused_while_it_comes(client_without_catalog: AsgiClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for part in batch_of(900):
            sent += 1
            yield part

    answer = client_without_catalog.post("/v1/media/batch", content=body(), headers=FORM)
    assert answer.status_code == 422
    assert sent == 501


def test_no_more_of_a_long_batch_is_held_than_is_counted(
    client_without_catalog: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is stored as it comes, which fails here with the first files."""
    monkeypatch.setattr(counting, "COUNTED_BYTES", 10_000)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for part in batch_of(900, bytes_per_file=800):
            sent += 1
            yield part

    answer = client_without_catalog.post("/v1/media/batch", content=body(), headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    assert sent <= 12 + TOGETHER_FILES


@pytest.mark.parametrize(
    ("held", "status", "code"),
    [(0, 503, "server_unreachable"), (1, 422, "invalid_request")],
)
def test_no_more_batches_are_held_at_once_than_there_is_room_for(
    client_without_catalog: AsgiClient,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    status: int,
    code: str,
) -> None:
    """One that is not held is stored as it comes, which fails here with the first file."""
    monkeypatch.setattr(counting, "MAX_COUNTING", held)
    content = b"".join(batch_of(501))
    for _ in range(2):
        answer = client_without_catalog.post("/v1/media/batch", content=content, headers=FORM)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@given(counted=st.integers(0, 3_000), places=st.lists(st.integers(0, 4_000), max_size=20))
def test_what_was_held_of_a_batch_is_read_like_the_rest(counted: int, places: list[int]) -> None:
    whole = b"".join(batch_of(7, bytes_per_file=300))

    async def read() -> bytes:
        body, held = arriving(cut_at(whole, places)), deque[bytes]()
        with pytest.MonkeyPatch.context() as patch, suppress(counting._EnoughError):
            patch.setattr(counting, "COUNTED_BYTES", counted)
            await collected(counting._held_back(body, held))
        return b"".join(await collected(counting.from_the_first(held, body)))

    assert asyncio.run(read()) == whole


@pytest.mark.parametrize(("files", "abouts"), [(1, 2), (2, 1), (2, 3)])
def test_facts_are_told_of_each_file_or_of_none(
    client_without_store: AsgiClient, files: int, abouts: int
) -> None:
    form = [("file", b"#!/bin/sh")] * files + [("about", (None, b"{}"))] * abouts
    answer = client_without_store.post("/v1/media/batch", files=form)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "one for each file" in answer.json()["detail"]


def test_one_file_is_described_by_the_fields_of_its_form(client_without_store: AsgiClient) -> None:
    form = [("file", b"#!/bin/sh"), ("about", (None, b"{}"))]
    answer = client_without_store.post("/v1/media", files=form)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"].startswith("about: ")


def test_a_batch_is_a_form(client: AsgiClient) -> None:
    response = client.post("/v1/media/batch", content=PNG_HEAD)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


def test_without_a_catalog_an_upload_may_come_again(client_without_catalog: AsgiClient) -> None:
    for path in ("/v1/media", "/v1/media/batch"):
        response = client_without_catalog.post(path, files={"file": PNG_HEAD})
        assert (response.status_code, response.json()["code"]) == (503, "server_unreachable")
        assert "Retry-After" in response.headers


def test_tus_is_described(client: AsgiClient) -> None:
    response = client.request("OPTIONS", "/v1/uploads")
    assert response.status_code == 204
    assert response.headers["Tus-Resumable"] == response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Max-Size"] == "1000"
    assert "creation" in response.headers["Tus-Extension"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "1"}, 422),
        ({"Upload-Length": "1", "Tus-Resumable": "0.2.2"}, 412),
        (TUS, 422),
        (TUS | {"Upload-Length": "-1"}, 422),
        (TUS | {"Upload-Length": "ten"}, 422),
        (TUS | {"Upload-Length": "0"}, 422),
        (TUS | {"Upload-Length": "1001"}, 413),
        (TUS | {"Upload-Length": "1", "Upload-Metadata": "label x"}, 422),
        (TUS | {"Upload-Length": "1", "Upload-Metadata": "label eAB4"}, 422),
    ],
)
def test_an_unusable_beginning_of_a_resumable_upload_is_refused(
    client: AsgiClient, headers: dict[str, str], status: int
) -> None:
    response = client.post("/v1/uploads", headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_a_part_says_what_it_is(client: AsgiClient) -> None:
    headers = TUS | {"Upload-Offset": "0", "Content-Type": "image/png"}
    response = client.request("PATCH", f"/v1/uploads/{uuid4()}", headers=headers)
    assert response.status_code == 415


def test_ids_must_be_some(client: AsgiClient) -> None:
    for path in ("/v1/media/..%2Fetc", "/v1/media/x", "/v1/uploads/x"):
        response = client.get(path)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.status_code in {404, 422}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/media"),
        ("POST", "/v1/media/batch"),
        ("GET", f"/v1/media/{UNKNOWN_ID}"),
        ("GET", "/v1/stats"),
        ("POST", "/v1/uploads"),
        ("GET", f"/v1/uploads/{UNKNOWN_ID}"),
        ("HEAD", f"/v1/uploads/{UNKNOWN_ID}"),
        ("PATCH", f"/v1/uploads/{UNKNOWN_ID}"),
        ("DELETE", f"/v1/uploads/{UNKNOWN_ID}"),
    ],
)
def test_nothing_is_told_or_taken_without_a_key(tmp_path: Path, method: str, path: str) -> None:
    client = AsgiClient(create_app(Settings(home=tmp_path)))
    needed = TUS | {"Upload-Length": "1", "Upload-Offset": "0"}
    assert client.request(method, path, headers=needed).status_code == 401


def test_health_and_metrics_need_no_other_server(client: AsgiClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert "visionops_uploaded_bytes_total" in client.get("/metrics").text
