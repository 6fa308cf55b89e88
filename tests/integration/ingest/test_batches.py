"""Batches whose files have facts of their own: refused one by one, repeated, killed, at once."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.ingest.content import png
from tests.integration.ingest.observing import kept, labels_of, row_of
from tests.integration.ingest.sending import Client, replica
from tests.integration.ingest.test_uploads import at_once, events_of
from tests.stacks import key_header
from visionops_assets.contracts import Scope
from visionops_assets.crash_points import CrashPoint
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings

File = tuple[dict[str, Any] | str, bytes]


def send(
    client: Client, files: Sequence[File], key: str | None = None, **fields: str
) -> httpx.Response:
    """Upload files with what is said of each."""
    parts: list[tuple[str, Any]] = []
    for said, data in files:
        about = said if isinstance(said, str) else json.dumps(said)
        parts += [("about", (None, about)), ("file", ("part.png", data))]
    headers = {"Idempotency-Key": key} if key else {}
    return client.request("POST", "/v1/media/batch", files=parts, params=fields, headers=headers)


def test_each_file_has_the_facts_that_are_said_of_it(client: Client) -> None:
    said = [
        {"filename": f"c{number}/{number}.jpg", "captured_at": f"2026-03-0{number}T12:00:00+02:00"}
        for number in range(1, 8)
    ]
    said[2] |= {"label": "dog"}
    said[3] |= {"source": "door"}
    files = [(facts, png()) for facts in said]
    answer = send(client, files, source="gate", label="cat")
    assert answer.status_code == 207, answer.text
    results = answer.json()["results"]
    assert [result["filename"] for result in results] == [facts["filename"] for facts in said]
    for result, (facts, data) in zip(results, files, strict=True):
        row = row_of(result["receipt"]["media_id"])
        assert ObjectStore().get(row.object_key) == data
        assert row.filename == facts["filename"]
        assert row.captured_at.isoformat() == facts["captured_at"].replace(
            "12:00:00+02", "10:00:00+00"
        )
        assert row.source == facts.get("source", "gate")
        assert labels_of(str(row.media_id)) == [facts.get("label", "cat")]
        assert row.name_mismatch
        assert len(events_of(str(row.media_id))) == 1


def test_a_file_that_cannot_be_used_or_described_stops_no_other(client: Client) -> None:
    files: list[File] = [
        ({"filename": "first.png"}, png()),
        ({"filename": "text.png"}, b"#!/bin/sh"),
        ({"filename": "empty.png"}, b""),
        ({"filename": "unseen.png", "label": "ca\N{ZERO WIDTH SPACE}t"}, png()),
        ({"filename": "unknown.png", "labels": "cat"}, png()),
        ("no JSON", png()),
        ({"filename": "large.png"}, png(3_000_000)),
        ({"filename": "last.png"}, png()),
    ]
    before = kept()
    results = send(client, files).json()["results"]
    codes = [result["refusal"] and result["refusal"]["code"] for result in results]
    assert codes == [
        None,
        "unsupported_media_type",
        "empty",
        "invalid_request",
        "invalid_request",
        "invalid_request",
        "too_large",
        None,
    ]
    assert results[3]["refusal"]["detail"].startswith("about.label: ")
    after = kept()
    new = {str(media_id) for media_id in after.media - before.media}
    assert new == {r["receipt"]["media_id"] for r in results if r["receipt"]}
    assert len(after.objects) - len(before.objects) == after.events - before.events == 2


def test_facts_that_are_not_one_for_each_file_leave_nothing(client: Client) -> None:
    before = kept()
    parts = [("file", ("a.png", png())), ("file", ("b.png", png())), ("about", (None, "{}"))]
    answer = client.request("POST", "/v1/media/batch", files=parts)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert kept() == before


def test_a_repeated_batch_gets_the_same_answer_and_another_one_none(client: Client) -> None:
    files: list[File] = [({"label": "cat"}, png()), ({"label": "dog"}, png()), ({}, b"")]
    key = str(uuid4())
    first = send(client, files, key)
    before = kept()
    again = send(client, files, key)
    assert (again.status_code, again.json()) == (207, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = send(client, [({"label": "car"}, files[0][1]), *files[1:]], key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert kept() == before


@pytest.mark.parametrize(
    "crash_point",
    [
        CrashPoint.UPLOAD_INTENT_COMMITTED,
        CrashPoint.UPLOAD_OBJECT_STORED,
        CrashPoint.UPLOAD_ACKNOWLEDGED,
    ],
)
def test_a_batch_is_taken_wholly_or_not_at_all_when_its_process_dies(
    client: Client, tmp_path: Path, crash_point: CrashPoint
) -> None:
    files: list[File] = [({"filename": f"{number}.png"}, png()) for number in range(40)]
    key, source = str(uuid4()), crash_point.value
    before = kept()
    (tmp_path / crash_point).touch()
    with (
        replica(client.headers, CRASH_POINTS_DIR=str(tmp_path)) as dying,
        suppress(httpx.TransportError),
    ):
        send(dying.client, files, key, source=source)
    assert not (tmp_path / crash_point).exists()
    was_taken = crash_point is CrashPoint.UPLOAD_ACKNOWLEDGED
    assert kept().events - before.events == (len(files) if was_taken else 0)
    again = send(client, files, key, source=source)
    assert ("Idempotent-Replayed" in again.headers) is was_taken
    receipts = [result["receipt"] for result in again.json()["results"]]
    assert len({receipt["media_id"] for receipt in receipts}) == len(files)
    for receipt, (_, data) in zip(receipts, files, strict=True):
        assert not receipt["duplicate"]
        assert ObjectStore().get(row_of(receipt["media_id"]).object_key) == data
    assert kept().events - before.events == len(files)


def test_keys_that_send_the_same_labelled_files_at_once_do_not_wait_for_each_other(
    ingest: Settings,
) -> None:
    """Each in an order of its own; to all keys but the first the files are known, but new."""
    contents = [png() for _ in range(40)]
    first = Client(ingest.ingest_url, key_header(Scope.INGEST))
    assert send(first, [({}, data) for data in contents]).status_code == 207
    clients = [Client(ingest.ingest_url, key_header(Scope.INGEST, Scope.LABEL)) for _ in range(6)]

    def label(number: int) -> httpx.Response:
        own_order = Random(number).sample(contents, len(contents))
        return send(clients[number], [({"label": "cat"}, data) for data in own_order])

    answers = at_once(len(clients), label)
    assert [answer.status_code for answer in answers] == [207] * len(clients)
    media_ids = {r["receipt"]["media_id"] for a in answers for r in a.json()["results"]}
    assert len(media_ids) == len(contents)
    assert all(labels_of(media_id) == ["cat"] for media_id in media_ids)
