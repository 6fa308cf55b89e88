"""Ingest, relay and exporter on real servers, without Dagster: media stay `stored` here.

A stack of its own, so that the loop's tests count only what they uploaded themselves.
"""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.integration.conftest import running_stack
from tests.integration.test_loop import wait_for
from visionops_assets.catalog.batches import OffsetRange, take_events
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.migrate import upgrade
from visionops_assets.catalog.schema import (
    Base,
    Label,
    Media,
    Outbox,
    PerformanceWindow,
    Release,
)
from visionops_assets.contracts import MediaEvent, MediaStatus
from visionops_assets.errors import LogTruncatedError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings

MAX_UPLOAD_BYTES = 3_000_000


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    limits = {"MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES)}
    home = tmp_path_factory.mktemp("ingest")
    with running_stack(home, limits, "--only", "ingest,relay,exporter") as settings:
        yield settings


def png(padding_bytes: int = 0) -> bytes:
    """Make a file that no test made before: a PNG of one pixel with a comment."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    header = chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    comment = chunk(b"tEXt", b"id\0" + uuid4().hex.encode() + b"." * padding_bytes)
    pixel = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return b"\x89PNG\r\n\x1a\n" + header + comment + pixel + chunk(b"IEND", b"")


def upload(settings: Settings, data: bytes, **fields: str) -> httpx.Response:
    files = {"file": ("../../a.png", data)}
    return httpx.post(f"{settings.ingest_url}/v1/media", files=files, data=fields, timeout=60)


def labels_of(media_id: str) -> list[str]:
    with Catalog().begin() as session:
        query = select(Label.label).where(Label.media_id == UUID(media_id)).order_by(Label.label_id)
        return list(session.scalars(query))


def rows_and_objects() -> tuple[int | None, list[str]]:
    with Catalog().begin() as session:
        rows = session.scalar(select(func.count()).select_from(Media))
    return rows, ObjectStore().list_keys("media")


@pytest.mark.parametrize("padding_bytes", [0, 2_500_000], ids=["one put", "stream"])
def test_an_upload_is_stored_described_and_announced(ingest: Settings, padding_bytes: int) -> None:
    data = png(padding_bytes)
    response = upload(
        ingest, data, source="gate 7", captured_at="2026-03-01T12:00:00+02:00", label="cat"
    )
    assert response.status_code == 201
    receipt = response.json()
    assert (receipt["kind"], receipt["bytes"], receipt["duplicate"]) == ("image", len(data), False)
    state = httpx.get(f"{ingest.ingest_url}/v1/media/{receipt['media_id']}").json()
    assert state["status"] == "stored"
    assert state["sha256"] == receipt["sha256"]
    assert (state["source"], state["label"], state["frames"]) == ("gate 7", "cat", [])
    assert state["captured_at"] == "2026-03-01T10:00:00Z"

    def published() -> Outbox | None:
        with Catalog().begin() as session:
            return session.scalar(
                select(Outbox).where(
                    Outbox.message_key == receipt["media_id"], Outbox.published_at.is_not(None)
                )
            )

    row = wait_for("published event", published, timeout_s=30)
    event = MediaEvent.model_validate(row.payload)
    assert ObjectStore().get(event.object_key) == data
    assert "a.png" not in event.object_key


def test_every_event_reaches_the_queue_once(ingest: Settings) -> None:
    receipts = [upload(ingest, png()).json() for _ in range(20)]

    def all_published() -> list[UUID] | None:
        with Catalog().begin() as session:
            if session.scalar(select(Outbox).where(Outbox.published_at.is_(None)).limit(1)):
                return None
            return list(session.scalars(select(Outbox.event_id)))

    owed = wait_for("empty outbox", all_published, timeout_s=30)
    with Broker().reader() as reader:
        queued = reader.poll(ingest.kafka_media_topic, 0, 0, 10_000, timeout_s=30)
    events = [MediaEvent.model_validate_json(event.value) for event in queued]
    assert sorted(event.event_id for event in events) == sorted(owed)
    assert {r["media_id"] for r in receipts} <= {str(event.media_id) for event in events}


def test_same_bytes_again_are_a_duplicate_whose_label_may_differ(ingest: Settings) -> None:
    data = png()
    first = upload(ingest, data, label="cat").json()
    before = rows_and_objects()
    for label in ("cat", "dog", "dog", "cat"):
        again = upload(ingest, data, label=label)
        assert again.status_code == 201
        assert again.json() == first | {"duplicate": True}
    assert labels_of(first["media_id"]) == ["cat", "dog", "cat"]
    assert rows_and_objects() == before
    assert not upload(ingest, data, source="another").json()["duplicate"]


def test_concurrent_uploads_of_the_same_bytes_are_one(ingest: Settings) -> None:
    clients = 8
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(5):
            data, together = png(), Barrier(clients)

            def send(data: bytes = data, together: Barrier = together) -> dict[str, Any]:
                together.wait()
                return dict(upload(ingest, data, label="cat").json())

            receipts = [f.result() for f in [pool.submit(send) for _ in range(clients)]]
            (media_id,) = {receipt["media_id"] for receipt in receipts}
            assert sum(not receipt["duplicate"] for receipt in receipts) == 1
            assert labels_of(media_id) == ["cat"]
            with Catalog().begin() as session:
                events = session.scalars(select(Outbox).where(Outbox.message_key == media_id)).all()
            assert len(events) == 1


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"", {}, 422, "empty"),
        (b"#!/bin/sh\n", {}, 415, "unsupported_media_type"),
        (png(MAX_UPLOAD_BYTES), {}, 413, "too_large"),
        (png(MAX_UPLOAD_BYTES * 2), {}, 413, "too_large"),
        (png(), {"label": "a\0b"}, 422, "invalid_request"),
    ],
    ids=["empty", "script", "over the limit", "body over the limit", "NUL"],
)
def test_a_refusal_leaves_nothing(
    ingest: Settings, data: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    before = rows_and_objects()
    response = upload(ingest, data, **fields)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert rows_and_objects() == before


def test_an_event_is_never_dropped_for_another_at_its_offset(ingest: Settings) -> None:
    media_ids = [upload(ingest, png()).json()["media_id"] for _ in range(2)]
    with Session(Catalog().engine) as session:  # nothing of this is committed
        rows = [
            session.scalars(select(Outbox).where(Outbox.message_key == media_id)).one()
            for media_id in media_ids
        ]
        first, second = (MediaEvent.model_validate(row.payload) for row in rows)
        batch = OffsetRange("replaced", 0, 0, 1)
        for _ in range(2):
            taken = take_events(session, batch, [(0, first)])
            assert [str(row.media_id) for row in taken] == media_ids[:1]
        assert take_events(session, OffsetRange("replaced", 0, 7, 8), [(7, first)]) == []
        with pytest.raises(LogTruncatedError, match="replaced"):
            take_events(session, batch, [(0, second)])


def test_unknown_media_are_not_found(ingest: Settings) -> None:
    response = httpx.get(f"{ingest.ingest_url}/v1/media/{uuid4()}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_counts_agree_between_stats_and_exporter(ingest: Settings) -> None:
    upload(ingest, png(), label="cat")
    stats = httpx.get(f"{ingest.ingest_url}/v1/stats").json()
    metrics = httpx.get(f"{ingest.exporter_url}/metrics").text.splitlines()
    assert set(stats["media"]) == {status.value for status in MediaStatus}
    assert f'visionops_media{{status="stored"}} {float(stats["media"]["stored"])}' in metrics
    assert "visionops_catalog_up 1.0" in metrics


def test_the_exporter_shows_the_newest_release_and_window(ingest: Settings) -> None:
    with Catalog().begin() as session:
        for version, accuracy in ((1, 0.5), (2, 0.9)):
            session.add(
                Release(
                    model_name="classifier",
                    model_version=version,
                    snapshot_id="s",
                    manifest_sha256="0" * 64,
                    dagster_run_id="r",
                )
            )
            session.add(
                PerformanceWindow(
                    model_name="classifier",
                    model_version=version,
                    predictions=100,
                    labelled=10,
                    correct=9,
                    accuracy=accuracy,
                    accuracy_low=accuracy - 0.1,
                    accuracy_high=accuracy + 0.05,
                )
            )
            session.flush()
    metrics = httpx.get(f"{ingest.exporter_url}/metrics").text.splitlines()
    series = '{model="classifier",version="2"}'
    assert 'visionops_champion_version{model="classifier"} 2.0' in metrics
    assert f"visionops_model_accuracy{series} 0.9" in metrics
    assert f"visionops_model_accuracy_low{series} 0.8" in metrics
    assert not any('version="1"' in line for line in metrics)


def test_migrations_make_exactly_the_schema(ingest: Settings) -> None:
    url = ingest.postgres_url.get_secret_value()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [url] * 4))
    with Catalog().engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
