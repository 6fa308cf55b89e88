"""Small files in one request, against a service of a few lines that reads forms as ingest does."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.ingest_bodies import arriving, collected
from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_assets.services.http.forms import FormReader
from visionops_client.ingest import IngestClient, Receipt
from visionops_client.several import SmallFile

FILES = [SmallFile(b"abc", {"filename": "a.png"}), SmallFile(b"", {"label": "cat"})]
RECEIPT = {
    "media_id": str(uuid4()),
    "sha256": "0" * 64,
    "kind": "image",
    "bytes": 3,
    "duplicate": False,
    "status": "stored",
}
REFUSAL = {"status": 422, "code": "empty", "detail": "The file is empty."}
RESULTS = [
    {"filename": "a.png", "receipt": RECEIPT, "refusal": None},
    {"filename": None, "receipt": None, "refusal": REFUSAL},
]


def client_of(handler: Callable[[httpx.Request], httpx.Response]) -> IngestClient:
    transport = httpx.MockTransport(handler)
    return IngestClient("http://127.0.0.1:8080", None, retry_for_s=20, transport=transport)


def parts_of(request: httpx.Request) -> list[tuple[str, bytes]]:
    async def read() -> list[tuple[str, bytes]]:
        form = FormReader(request.headers["content-type"], arriving([request.content]))
        parts = []
        while part := await form.next_part():
            parts.append((part.name, b"".join(await collected(form.chunks()))))
        return parts

    return asyncio.run(read())


def test_each_file_has_its_receipt_or_its_refusal() -> None:
    client = client_of(lambda request: httpx.Response(207, json={"results": RESULTS}))
    receipt, refusal = client.upload_several(FILES, "gate")
    assert isinstance(receipt, Receipt)
    assert str(receipt.media_id) == RECEIPT["media_id"]
    assert isinstance(refusal, RefusedError)
    assert (refusal.status, refusal.reason, refusal.detail) == tuple(REFUSAL.values())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(st.binary(max_size=200), TEXTS), min_size=1, max_size=5))
def test_ingest_reads_what_is_said_of_each_file_and_its_bytes(
    files: list[tuple[bytes, str]],
) -> None:
    seen: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(207, json={"results": RESULTS[:1] * len(files)})

    sent = [SmallFile(data, {"filename": name}) for data, name in files]
    client_of(handle).upload_several(sent, "gate 7")
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/v1/media/batch")
    assert dict(request.url.params) == {"source": "gate 7"}
    parts = parts_of(request)
    assert [name for name, _ in parts] == ["about", "file"] * len(files)
    assert [json.loads(said) for name, said in parts if name == "about"] == [
        {"filename": name} for _, name in files
    ]
    assert [data for name, data in parts if name == "file"] == [data for data, _ in files]


def test_a_request_is_sent_again_as_it_was() -> None:
    bodies: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        if len(bodies) == 1:
            return httpx.Response(503, json={"code": "server_unreachable", "detail": "Soon."})
        return httpx.Response(207, json={"results": RESULTS})

    assert len(client_of(handle).upload_several(FILES, "gate")) == 2
    assert len(set(bodies)) == 1
    assert len(bodies) == 2


def test_a_refused_request_is_told() -> None:
    refusal = httpx.Response(422, json={"code": "invalid_request", "detail": "about: unknown"})
    with pytest.raises(RefusedError, match="about: unknown"):
        client_of(lambda request: refusal).upload_several(FILES, "gate")


@pytest.mark.parametrize(
    "results",
    [[], RESULTS[:1], [*RESULTS, RESULTS[0]], [RESULTS[0], {"filename": "b"}], "all is well"],
    ids=["none", "fewer", "more", "neither", "no list"],
)
def test_another_answer_is_not_taken_for_ours(results: Any) -> None:
    client = client_of(lambda request: httpx.Response(207, json={"results": results}))
    with pytest.raises(ServerUnreachableError, match="does not answer as VisionOps"):
        client.upload_several(FILES, "gate")
