"""Files that are taken in: raw, in chunks, by a form, in batches, again and at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from tests.integration.ingest.content import png
from tests.integration.ingest.observing import kept, labels_of, row_of
from tests.integration.ingest.sending import Client
from tests.stacks import key_header
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Outbox
from visionops_assets.contracts import MediaEvent, Scope
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings

SAID = {"source": "gate 7", "captured_at": "2026-03-01T12:00:00+02:00", "label": "cat"}


def at_once(calls: int, send: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Send requests all together."""
    together = Barrier(calls)

    def wait_and_send(number: int) -> httpx.Response:
        together.wait()
        return send(number)

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(wait_and_send, range(calls)))


def events_of(media_id: str) -> list[Outbox]:
    with Catalog().begin() as session:
        return list(session.scalars(select(Outbox).where(Outbox.message_key == media_id)))


def in_pieces(data: bytes) -> Any:
    return (data[start : start + 70_000] for start in range(0, len(data), 70_000))


@pytest.mark.parametrize("padding_bytes", [0, 2_500_000], ids=["one put", "stream"])
@pytest.mark.parametrize("way", ["form", "raw", "chunked"])
def test_an_upload_is_stored_described_and_announced(
    client: Client, way: str, padding_bytes: int
) -> None:
    data = png(padding_bytes)
    filename = "../../a.jpg"
    match way:
        case "form":
            response = client.upload(data, filename, **SAID)
        case "raw":
            response = client.upload_raw(data, None, filename=filename, **SAID)
        case _:
            response = client.upload_raw(in_pieces(data), None, filename=filename, **SAID)
    assert response.status_code == 201, response.text
    receipt = response.json()
    assert (receipt["kind"], receipt["bytes"], receipt["duplicate"]) == ("image", len(data), False)
    state = client.state(receipt["media_id"])
    assert (state["status"], state["sha256"]) == ("stored", receipt["sha256"])
    assert (state["source"], state["label"], state["frames"]) == ("gate 7", "cat", [])
    assert (state["content_type"], state["name_mismatch"]) == ("image/png", True)
    assert (state["captured_at"], state["filename"]) == ("2026-03-01T10:00:00Z", filename)
    assert (row_of(receipt["media_id"]).uploaded_by or "").startswith("test-")

    def published() -> Outbox | None:
        return next((row for row in events_of(receipt["media_id"]) if row.published_at), None)

    event = MediaEvent.model_validate(eventually("published event", published).payload)
    assert ObjectStore().get(event.object_key) == data
    assert "a.jpg" not in event.object_key


def test_fields_of_a_form_may_follow_its_file(client: Client) -> None:
    parts = [("file", ("a.png", png())), ("label", (None, b"dog")), ("source", (None, b"gate"))]
    response = client.request("POST", "/v1/media", files=parts, params={"label": "cat"})
    state = client.state(response.json()["media_id"])
    assert (state["label"], state["source"]) == ("dog", "gate")


def test_a_batch_has_a_result_for_each_file(client: Client) -> None:
    same = png()
    files = [
        ("a.png", png(1_500_000)),
        ("b.png", b"#!/bin/sh"),
        ("c.png", same),
        ("d.png", b""),
        ("e.png", same),
        ("f.png", png(3_000_000)),
        ("g.jpg", png()),
    ]
    response = client.upload_batch(files, source="batch", label="cat")
    assert response.status_code == 207, response.text
    results = response.json()["results"]
    assert [result["filename"] for result in results] == [name for name, _ in files]
    refused = {r["filename"]: r["refusal"]["code"] for r in results if r["refusal"]}
    assert refused == {"b.png": "unsupported_media_type", "d.png": "empty", "f.png": "too_large"}
    receipts = {r["filename"]: r["receipt"] for r in results if r["receipt"]}
    assert receipts["c.png"]["media_id"] == receipts["e.png"]["media_id"]
    assert [r["duplicate"] for r in receipts.values()] == [False, False, True, False]
    for name, data in files:
        if name in receipts:
            row = row_of(receipts[name]["media_id"])
            assert ObjectStore().get(row.object_key) == data
            assert len(events_of(str(row.media_id))) == 1
            assert labels_of(str(row.media_id)) == ["cat"]
    assert row_of(receipts["g.jpg"]["media_id"]).name_mismatch


def test_a_batch_without_a_usable_file_is_answered_too(client: Client) -> None:
    before = kept()
    response = client.upload_batch([("a", b""), ("b", b"x")])
    assert response.status_code == 207
    assert [r["refusal"]["status"] for r in response.json()["results"]] == [422, 415]
    assert kept() == before


def test_a_batch_that_cannot_be_described_leaves_nothing(client: Client) -> None:
    before = kept()
    response = client.upload_batch([("a", png()), ("b", png())], label="a\0")
    assert response.status_code == 422
    assert kept() == before


def test_same_bytes_again_are_a_duplicate_whose_label_may_differ(ingest: Settings) -> None:
    client = Client(ingest.ingest_url, key_header(Scope.INGEST, Scope.LABEL))
    data = png()
    first = client.upload(data, label="cat").json()
    before = kept()
    for label in ("cat", "dog", "dog", "cat"):
        again = client.upload(data, label=label)
        assert again.status_code == 201
        assert again.json() == first | {"duplicate": True}
    assert labels_of(first["media_id"]) == ["cat", "dog", "cat"]
    assert kept() == before
    assert not client.upload(data, source="another").json()["duplicate"]


def test_concurrent_uploads_of_the_same_bytes_are_one(client: Client) -> None:
    for _ in range(3):
        data = png()
        answers = at_once(8, lambda i, data=data: client.upload(data, label="cat"))  # type: ignore[misc]
        receipts = [answer.json() for answer in answers]
        (media_id,) = {receipt["media_id"] for receipt in receipts}
        assert sum(not receipt["duplicate"] for receipt in receipts) == 1
        assert labels_of(media_id) == ["cat"]
        assert len(events_of(media_id)) == 1


def test_concurrent_batches_of_the_same_files_are_one(client: Client) -> None:
    files = [(f"{number}.png", png()) for number in range(12)]
    before = kept()

    def send(number: int) -> httpx.Response:
        own_order = Random(number).sample(files, len(files))
        return client.upload_batch(own_order, label="cat")

    answers = at_once(6, send)
    assert [answer.status_code for answer in answers] == [207] * 6
    receipts = [result["receipt"] for answer in answers for result in answer.json()["results"]]
    assert len({receipt["media_id"] for receipt in receipts}) == len(files)
    assert sum(not receipt["duplicate"] for receipt in receipts) == len(files)
    after = kept()
    assert len(after.media - before.media) == after.events - before.events == len(files)
    assert len(after.objects) - len(before.objects) == len(files)


def test_a_repeated_key_gets_the_same_answer(client: Client) -> None:
    data, key = png(), {"Idempotency-Key": str(uuid4())}
    first = client.upload_raw(data, headers=key, label="cat")
    assert "Idempotent-Replayed" not in first.headers
    before = kept()
    again = client.upload_raw(data, headers=key, label="cat")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert kept() == before


def test_a_repeated_key_of_a_batch_gets_the_same_answer(client: Client) -> None:
    files, key = [("a", png()), ("b", b""), ("c", png())], {"Idempotency-Key": str(uuid4())}
    first = client.upload_batch(files, headers=key)
    before = kept()
    again = client.upload_batch(files, headers=key)
    assert (again.status_code, again.json()) == (207, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert kept() == before


def test_a_key_for_another_request_is_refused(client: Client) -> None:
    data, key = png(), {"Idempotency-Key": str(uuid4())}
    assert client.upload_raw(data, headers=key).status_code == 201
    before = kept()
    for other in (
        client.upload_raw(png(), headers=key),
        client.upload_raw(data, headers=key, label="cat"),
        client.upload_batch([("a", data), ("b", data)], headers=key),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert kept() == before


def test_a_refusal_is_not_kept_for_its_key(client: Client) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    assert client.upload_raw(b"", headers=key).status_code == 422
    assert client.upload_raw(png(), headers=key).status_code == 201


def test_one_key_at_once_gets_one_answer(client: Client) -> None:
    for _ in range(3):
        data, key = png(), {"Idempotency-Key": str(uuid4())}
        before = kept()
        answers = at_once(8, lambda i, d=data, k=key: client.upload_raw(d, headers=k))  # type: ignore[misc]
        assert [answer.status_code for answer in answers] == [201] * 8
        assert len({answer.text for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        after = kept()
        assert len(after.media - before.media) == after.answers - before.answers == 1
        assert len(after.objects) - len(before.objects) == 1
