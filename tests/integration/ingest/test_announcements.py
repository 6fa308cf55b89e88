"""What else shows of uploads: events in the queue, counts, figures, and the schema itself."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.integration.ingest.content import png
from tests.integration.ingest.sending import Client
from tests.waiting import eventually
from visionops_assets.catalog.batches import OffsetRange, take_events
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.migrate import upgrade
from visionops_assets.catalog.schema import Base, Outbox, PerformanceWindow, Release
from visionops_assets.contracts import MediaEvent, MediaStatus
from visionops_assets.errors import LogTruncatedError
from visionops_assets.resources.broker import Broker
from visionops_assets.settings import Settings


def test_every_event_reaches_the_queue_once(client: Client, ingest: Settings) -> None:
    receipts = [client.upload(png()).json() for _ in range(20)]

    def all_published() -> list[UUID] | None:
        with Catalog().begin() as session:
            if session.scalar(select(Outbox).where(Outbox.published_at.is_(None)).limit(1)):
                return None
            return list(session.scalars(select(Outbox.event_id)))

    owed = eventually("empty outbox", all_published)
    with Broker().reader() as reader:
        queued = reader.poll(ingest.kafka_media_topic, 0, 0, 10_000, timeout_s=30)
    events = [MediaEvent.model_validate_json(event.value) for event in queued]
    assert sorted(event.event_id for event in events) == sorted(owed)
    assert {r["media_id"] for r in receipts} <= {str(event.media_id) for event in events}


def test_an_event_is_never_dropped_for_another_at_its_offset(client: Client) -> None:
    media_ids = [client.upload(png()).json()["media_id"] for _ in range(2)]
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


def test_unknown_media_are_not_found(client: Client) -> None:
    response = client.request("GET", f"/v1/media/{uuid4()}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_counts_agree_between_stats_and_exporter(client: Client, ingest: Settings) -> None:
    client.upload(png(), label="cat")
    stats = client.request("GET", "/v1/stats").json()
    metrics = httpx.get(f"{ingest.exporter_url}/metrics", trust_env=False).text.splitlines()
    assert set(stats["media"]) == {status.value for status in MediaStatus}
    assert f'visionops_media{{status="stored"}} {float(stats["media"]["stored"])}' in metrics
    assert "visionops_catalog_up 1.0" in metrics


def test_uploads_are_counted_by_their_outcome(client: Client, ingest: Settings) -> None:
    def count(outcome: str) -> float:
        metrics = httpx.get(f"{ingest.ingest_url}/metrics", trust_env=False).text.splitlines()
        prefix = f'visionops_uploads_total{{outcome="{outcome}"}} '
        return sum(float(line.removeprefix(prefix)) for line in metrics if line.startswith(prefix))

    outcomes = ("stored", "duplicate", "empty")
    before = [count(outcome) for outcome in outcomes]
    data = png()
    for body in (data, data, b"", data):
        client.upload_raw(body)
    assert [count(o) - b for o, b in zip(outcomes, before, strict=True)] == [1, 2, 1]


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
    metrics = httpx.get(f"{ingest.exporter_url}/metrics", trust_env=False).text.splitlines()
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
