"""Uploads in pieces, against a tus service of a few lines that can be made to fail."""

import base64
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.visionops_client.test_ingest import Clock, problem, receipt
from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_client import ingest, resumable
from visionops_client.answers import Receipt
from visionops_client.connection import Connection
from visionops_client.content import MemoryContent
from visionops_client.resumable import upload_in_pieces
from visionops_client.retrying import Retrying

PIECE_BYTES = 10
DATA = bytes(range(35))
# What happens to a request: it is answered, is lost on the way there or back, or breaks off.
FATES = ("answered", "lost", "unanswered", "cut", "busy")


class Tus:
    """One upload. Each PATCH meets the next fate; after the last all are answered."""

    def __init__(self, fates: Iterator[str]) -> None:
        self.stored = b""
        self.metadata = ""
        self.patches = 0
        self._fates = fates
        self._total_bytes = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET" or request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "POST":
            self._total_bytes = int(request.headers["Upload-Length"])
            self.metadata = request.headers["Upload-Metadata"]
            return httpx.Response(201, json={"upload_id": str(uuid4())})
        if request.method == "PATCH":
            return self._patch(request)
        body = {"receipt": receipt() if len(self.stored) == self._total_bytes else None}
        return httpx.Response(200, json=body, headers={"Upload-Offset": str(len(self.stored))})

    def _patch(self, request: httpx.Request) -> httpx.Response:
        self.patches += 1
        if int(request.headers["Upload-Offset"]) != len(self.stored):
            return problem(409, "offset_conflict")
        assert len(request.content) == int(request.headers["Content-Length"]) <= PIECE_BYTES
        fate = next(self._fates, "answered")
        if fate == "busy":
            return problem(503, "server_unreachable")
        kept = {"lost": 0, "cut": len(request.content) // 2}.get(fate, len(request.content))
        self.stored += request.content[:kept]
        if fate != "answered":
            raise httpx.ReadError(fate)
        return httpx.Response(204, headers={"Upload-Offset": str(len(self.stored))})


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "PIECE_BYTES", PIECE_BYTES)


def upload(tus: Tus, data: bytes = DATA, retry_for_s: float = 300.0) -> Receipt:
    clock = Clock()
    retrying = Retrying(retry_for_s, clock_s=clock, pause=clock.pause)
    connection = Connection("http://127.0.0.1:8080", None, 1.0, httpx.MockTransport(tus))
    described = {"source": "gate 7", "filename": "ä.mp4"}
    return upload_in_pieces(connection, retrying, MemoryContent(data), described)


def test_a_file_goes_in_pieces_and_is_described() -> None:
    tus = Tus(iter(()))
    assert upload(tus).kind == "image"
    assert (tus.stored, tus.patches) == (DATA, 4)
    pairs = dict(pair.split(" ") for pair in tus.metadata.split(","))
    assert {name: base64.b64decode(value).decode() for name, value in pairs.items()} == {
        "source": "gate 7",
        "filename": "ä.mp4",
    }


@given(st.lists(st.sampled_from(FATES), max_size=12))
def test_whatever_fails_every_byte_arrives_once(fates: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable, "PIECE_BYTES", PIECE_BYTES)
        tus = Tus(iter(fates))
        upload(tus, retry_for_s=1e6)
        assert tus.stored == DATA


def test_an_upload_that_another_attempt_carried_on_goes_on_from_there() -> None:
    tus = Tus(iter(()))

    def late(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and tus.patches == 0:
            tus.stored = DATA[:20]
        return tus(request)

    clock = Clock()
    connection = Connection("http://127.0.0.1:8080", None, 1.0, httpx.MockTransport(late))
    retrying = Retrying(300, clock_s=clock, pause=clock.pause)
    upload_in_pieces(connection, retrying, MemoryContent(DATA), {})
    assert tus.stored == DATA


def test_a_refusal_ends_it() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            return problem(415, "unsupported_media_type")
        return httpx.Response(201, json={"upload_id": str(uuid4())})

    connection = Connection("http://127.0.0.1:8080", None, 1.0, httpx.MockTransport(refuse))
    with pytest.raises(RefusedError, match="unsupported_media_type"):
        upload_in_pieces(connection, Retrying(300), MemoryContent(DATA), {})


@pytest.mark.parametrize("answer", [{}, {"json": {"upload_id": str(uuid4())}}])
def test_another_service_at_the_address_is_told(answer: dict[str, object]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, **answer))  # type: ignore[arg-type]
    connection = Connection("http://127.0.0.1:8080", None, 1.0, transport)
    with pytest.raises(ServerUnreachableError, match="does not answer as VisionOps"):
        upload_in_pieces(connection, Retrying(300), MemoryContent(DATA), {})


@pytest.mark.parametrize(("size_bytes", "patches"), [(20, 0), (21, 3)])
def test_the_client_sends_large_files_in_pieces(
    monkeypatch: pytest.MonkeyPatch, size_bytes: int, patches: int
) -> None:
    monkeypatch.setattr(ingest, "IN_PIECES_ABOVE_BYTES", 20)
    tus = Tus(iter(()))

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/media":
            return httpx.Response(201, json=receipt())
        return tus(request)

    transport = httpx.MockTransport(handle)
    with ingest.IngestClient("http://127.0.0.1:8080", None, transport=transport) as client:
        client.upload(bytes(size_bytes), source="s")
    assert tus.patches == patches
