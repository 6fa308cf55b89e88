"""Uploads in parts: by a tus client of others, cut off, killed, at once, and refused."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader.uploader import Uploader

from tests.integration.ingest.conftest import MAX_UPLOAD_BYTES
from tests.integration.ingest.content import png
from tests.integration.ingest.observing import kept, row_of
from tests.integration.ingest.sending import PART, TUS, Client, replica
from tests.integration.ingest.test_uploads import at_once
from tests.stacks import key_header
from tests.vision.corpus import CASES, png_bomb
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media, ResumableUpload
from visionops_assets.contracts import MediaStatus, Scope
from visionops_assets.crash_points import CrashPoint
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.problems import STATUS_BY_CODE
from visionops_assets.services.sweep import Sweep
from visionops_assets.settings import Settings

CHUNK_BYTES = 500_000


def uploader(client: Client, data: bytes, **options: Any) -> Uploader:
    """Prepare an upload by the client of the tus project."""
    tus = TusClient(f"{client.url}/v1/uploads", headers=client.headers)
    made: Uploader = tus.uploader(file_stream=BytesIO(data), chunk_size=CHUNK_BYTES, **options)
    return made


def receipt_of(client: Client, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.request("GET", path).json()["receipt"]
    return answer


def parts_of(path: str) -> list[str]:
    return ObjectStore().list_keys(f"uploads/{path.rpartition('/')[2]}")


def rows_with(receipt: dict[str, Any]) -> list[Media]:
    """All that were stored of these bytes."""
    with Catalog().begin() as session:
        return list(
            session.scalars(
                select(Media).where(
                    Media.sha256 == receipt["sha256"], Media.status != MediaStatus.RECEIVING
                )
            )
        )


def assert_stored(client: Client, path: str, data: bytes) -> None:
    """The upload is complete: one file, these bytes, no parts."""
    receipt = receipt_of(client, path)
    (row,) = rows_with(receipt)
    assert ObjectStore().get(row.object_key) == data
    assert str(row.media_id) == receipt["media_id"]
    assert client.offset(path) == len(data)
    assert parts_of(path) == []


def test_a_tus_client_uploads_a_file(client: Client) -> None:
    data = png(2_200_000)
    said = {"filename": "../a\0.jpg", "source": "tus", "label": "cat", "filetype": "image/jpeg"}
    upload = uploader(client, data, metadata=said)
    upload.upload()
    assert upload.url
    path = upload.url.removeprefix(client.url)
    assert_stored(client, path, data)
    head = client.request("HEAD", path, headers=TUS)
    state = client.state(head.headers["Visionops-Media-Id"])
    assert (state["source"], state["label"], state["name_mismatch"]) == ("tus", "cat", True)
    assert state["filename"] == "../a\ufffd.jpg"
    assert head.headers["Upload-Length"] == str(len(data))
    assert head.headers["Tus-Resumable"] == "1.0.0"


def test_a_video_comes_in_parts(client: Client) -> None:
    data = CASES["sound.mp4"].make()
    path = client.begin(len(data))
    for start in range(0, len(data), 1_000):
        assert client.patch(path, start, data[start : start + 1_000]).status_code == 204
    assert receipt_of(client, path)["kind"] == "video"


def cut_off(client: Client, path: str, offset: int, rest: bytes, sent: int) -> None:
    """Announce the rest, send a beginning of it, and go away."""
    headers = TUS | PART | {"Upload-Offset": str(offset), "Content-Length": str(len(rest))}
    with client.wire("PATCH", path, headers) as wire:
        wire.send(rest[:sent])


def test_what_came_before_an_interruption_is_kept(client: Client) -> None:
    data = png(2_000_000)
    path = client.begin(len(data))
    cut_off(client, path, 0, data, 700_000)
    eventually("offset", lambda: client.offset(path) == 700_000)
    cut_off(client, path, 700_000, data[700_000:], 100_000)
    eventually("next offset", lambda: client.offset(path) == 800_000)
    assert receipt_of(client, path) is None
    upload = uploader(client, data, url=client.url + path)
    assert upload.offset == 800_000
    upload.upload()
    assert_stored(client, path, data)


def test_what_came_of_a_slow_part_is_kept(client: Client, hasty: Client) -> None:
    data = png(10_000)
    path = client.begin(len(data))
    headers = TUS | PART | {"Upload-Offset": "0", "Content-Length": str(len(data))}
    with hasty.wire("PATCH", path, headers) as wire:
        wire.send(data[:5_000])
        assert wire.answer() == (408, "slow_body")
    assert client.offset(path) == 5_000
    assert client.patch(path, 5_000, data[5_000:]).status_code == 204
    assert_stored(client, path, data)


@pytest.mark.parametrize(
    ("crash_point", "is_complete"),
    [
        (CrashPoint.RESUMABLE_PART_STORED, False),
        (CrashPoint.UPLOAD_OBJECT_STORED, False),
        (CrashPoint.RESUMABLE_COMPLETED, True),
    ],
)
def test_complete_is_what_was_acknowledged(
    client: Client, ingest: Settings, tmp_path: Path, crash_point: CrashPoint, is_complete: bool
) -> None:
    """The process that takes the last part dies; another one is asked, and goes on."""
    data = png(10_000)
    path = client.begin(len(data))
    assert client.patch(path, 0, data[:5_000]).status_code == 204
    (tmp_path / crash_point).touch()
    with replica(client.headers, CRASH_POINTS_DIR=str(tmp_path)) as dying:
        headers = TUS | PART | {"Upload-Offset": "5000", "Content-Length": str(len(data) - 5_000)}
        with dying.client.wire("PATCH", path, headers) as wire:
            wire.send(data[5_000:])
            eventually("death", dying.has_died)
    assert client.offset(path) == (len(data) if is_complete else 5_000)
    assert (receipt_of(client, path) is not None) is is_complete
    if not is_complete:
        assert client.patch(path, 5_000, data[5_000:]).status_code == 204
    Sweep(ingest, Catalog(), ObjectStore()).run_once()  # Parts that the dead one left.
    assert_stored(client, path, data)


def test_two_parts_at_once_are_one(client: Client) -> None:
    data = png(10_000)
    path = client.begin(len(data))
    for _ in range(3):
        offset = client.offset(path) or 0
        part = data[offset : offset + 3_000]
        answers = at_once(2, lambda i, o=offset, p=part: client.patch(path, o, p))  # type: ignore[misc]
        assert sorted(answer.status_code for answer in answers) == [204, 409]
    rest = data[9_000:]
    answers = at_once(4, lambda _: client.patch(path, 9_000, rest))
    # One that comes while the other is acknowledged gets the same answer.
    codes = {answer.status_code for answer in answers}
    assert 204 in codes
    assert codes <= {204, 409}
    assert_stored(client, path, data)


@pytest.mark.parametrize("sent_before", [0, 5_000])
def test_a_late_request_takes_nothing_back(client: Client, sent_before: int) -> None:
    """It began before another one completed the upload, and its own bytes would be refused."""
    data = png(10_000)
    path = client.begin(len(data))
    if sent_before:
        assert client.patch(path, 0, data[:sent_before]).status_code == 204
    rest = data[sent_before:]
    headers = TUS | PART
    headers |= {"Upload-Offset": str(sent_before), "Content-Length": str(len(rest))}
    with client.wire("PATCH", path, headers) as late:
        time.sleep(0.5)  # It has asked where the upload stands, and waits for its body.
        assert client.patch(path, sent_before, rest).status_code == 204
        late.send(b"x" * len(rest))
        assert late.answer() == (409, "offset_conflict")
    assert_stored(client, path, data)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.code not in {None, "corrupt"}])
def test_refused_content_is_refused_in_parts_too(client: Client, name: str) -> None:
    data, code = CASES[name].make(), CASES[name].code
    before = kept()
    if not data:
        answer = client.request("POST", "/v1/uploads", headers=TUS | {"Upload-Length": "0"})
    else:
        path = client.begin(len(data))
        half = len(data) // 2
        answer = client.patch(path, 0, data[:half])
        if answer.status_code == 204:
            answer = client.patch(path, half, data[half:])
        assert client.offset(path) is None
    assert code
    assert (answer.status_code, answer.json()["code"]) == (STATUS_BY_CODE[code], code)
    assert kept() == before


def test_content_that_begins_wrong_is_refused_with_its_first_part(client: Client) -> None:
    before = kept()
    path = client.begin(MAX_UPLOAD_BYTES)
    answer = client.patch(path, 0, b"#!/bin/sh\n".ljust(10_000))
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert client.offset(path) is None
    assert kept() == before


def test_a_bomb_is_refused_with_its_last_part(client: Client) -> None:
    before = kept()
    bomb = png_bomb()
    path = client.begin(len(bomb))
    upload = uploader(client, bomb, url=client.url + path)
    with pytest.raises(TusCommunicationError):
        upload.upload()
    assert client.offset(path) is None
    assert kept() == before


def test_a_part_at_a_wrong_place_changes_nothing(client: Client) -> None:
    data = png(10_000)
    path = client.begin(len(data))
    assert client.patch(path, 0, data[:4_000]).status_code == 204
    before = kept()
    for offset in (0, 3_999, 4_001, len(data), 10**12):
        answer = client.patch(path, offset, data[4_000:])
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_conflict")
    assert client.offset(path) == 4_000
    assert kept() == before


def test_more_than_was_announced_is_too_large(client: Client) -> None:
    data = png(10_000)
    path = client.begin(len(data))
    answer = client.patch(path, 0, data + b"x")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert client.offset(path) == 0


def test_nothing_comes_after_the_end(client: Client) -> None:
    data = png()
    path = client.begin(len(data))
    assert client.patch(path, 0, data).status_code == 204
    before = kept()
    assert client.patch(path, len(data), b"").status_code == 204
    assert client.patch(path, len(data), b"x").status_code == 413
    assert client.patch(path, 0, data).status_code == 409
    assert kept() == before


def test_an_upload_that_expired_is_gone(client: Client) -> None:
    path = client.begin(100)
    upload_id = UUID(path.rpartition("/")[2])
    with Catalog().begin() as session:
        session.execute(
            update(ResumableUpload)
            .where(ResumableUpload.upload_id == upload_id)
            .values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        )
    for answer in every_request(client, path):
        assert answer == 404


def test_an_upload_that_was_given_up_leaves_nothing(client: Client) -> None:
    before = kept()
    data = png(10_000)
    path = client.begin(len(data))
    assert client.patch(path, 0, data[:5_000]).status_code == 204
    assert len(parts_of(path)) == 1
    assert client.request("DELETE", path, headers=TUS).status_code == 204
    assert kept() == before
    for answer in every_request(client, path):
        assert answer == 404


def test_the_file_stays_when_its_upload_is_forgotten(client: Client) -> None:
    data = png()
    path = client.begin(len(data))
    client.patch(path, 0, data)
    media_id = receipt_of(client, path)["media_id"]
    assert client.request("DELETE", path, headers=TUS).status_code == 204
    assert ObjectStore().get(row_of(media_id).object_key) == data


def test_an_upload_belongs_to_who_began_it(client: Client) -> None:
    path = client.begin(100)
    stranger = Client(client.url, key_header(Scope.INGEST, Scope.ADMIN))
    for answer in every_request(stranger, path):
        assert answer == 404
    assert client.offset(path) == 0


def test_small_parts_leave_nothing(client: Client) -> None:
    """A part below the minimum is refused, or cut off in vain; the last one may be small."""
    data = png(20_000)
    with replica(client.headers, RESUMABLE_MIN_PART_BYTES="5000") as started:
        own = started.client
        path = own.begin(len(data))
        before = kept()
        answer = own.patch(path, 0, data[:4_999])
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        cut_off(own, path, 0, data, 4_999)
        assert kept() == before
        whole = len(data) - len(data) % 5_000
        for start in range(0, whole, 5_000):
            assert own.patch(path, start, data[start : start + 5_000]).status_code == 204
        assert own.patch(path, whole, data[whole:]).status_code == 204
        assert_stored(own, path, data)


@pytest.mark.attack
def test_a_key_opens_only_so_much(client: Client) -> None:
    """Announce more bytes or uploads than a key may have open: 429, and others are let in."""
    limits = {"RESUMABLE_MAX_OPEN": "3", "RESUMABLE_MAX_OPEN_BYTES": "2000"}
    with replica(key_header(Scope.INGEST), **limits) as started:
        own = started.client
        first = own.begin(900)
        own.begin(1_100)
        begin = {"headers": TUS | {"Upload-Length": "1"}}
        answer = own.request("POST", "/v1/uploads", **begin)
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
        assert "retry-after" in answer.headers
        assert own.request("DELETE", first, headers=TUS).status_code == 204
        for _ in range(2):
            answers = [own.request("POST", "/v1/uploads", **begin) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [429, 429]
        other = Client(own.url, key_header(Scope.INGEST))
        assert other.offset(other.begin(100)) == 0


def every_request(client: Client, path: str) -> Iterator[int]:
    """Try all that can be done with an upload."""
    for method in ("HEAD", "GET", "DELETE"):
        yield client.request(method, path, headers=TUS).status_code
    yield client.patch(path, 0, b"x").status_code


def test_the_same_bytes_as_a_known_file_are_that_file(client: Client) -> None:
    data = png(10_000)
    first = client.upload_raw(data).json()
    before = kept()
    path = client.begin(len(data), f"label {base64.b64encode(b'cat').decode()}")
    assert client.patch(path, 0, data).status_code == 204
    receipt = receipt_of(client, path)
    assert (receipt["media_id"], receipt["duplicate"]) == (first["media_id"], True)
    assert kept() == before
