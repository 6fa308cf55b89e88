"""The sweep on real servers, also killed half way, and what obstore leaves in SeaweedFS."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from sqlalchemy import null, select, update

from tests.integration.media_rows import begin_upload, look, png, store
from tests.stacks import running_stack, visionops
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.catalog.schema import Acknowledgement, Media, ResumableUpload
from visionops_assets.contracts import MediaEvent
from visionops_assets.crash_points import CrashPoint
from visionops_assets.errors import CorruptMediaError
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.erasing import Eraser
from visionops_assets.resources.multipart import abort_unfinished
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings, load_settings

LONG_AGO = timedelta(hours=-1)
WAIT_S = 30


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    crash_points = tmp_path_factory.mktemp("crash-points")
    hasty = {
        "SWEEP_INTERVAL_S": "0.3",
        "UPLOAD_LEASE_S": "1",
        "ANNOUNCE_AGAIN_AFTER_S": "5",
        "IDEMPOTENCY_EXPIRY_S": "60",
        "CRASH_POINTS_DIR": str(crash_points),
    }
    home = tmp_path_factory.mktemp("sweep")
    with running_stack(home, hasty, "--only", "relay,sweep") as settings:
        yield settings


def _gone(media_id: UUID, key: str) -> bool | None:
    return True if look(media_id) is None and not ObjectStore().exists(key) else None


@pytest.mark.parametrize(
    "killed_at", [None, CrashPoint.SWEEP_CLAIMED, CrashPoint.SWEEP_OBJECT_DELETED]
)
def test_an_upload_given_up_leaves_nothing(swept: Settings, killed_at: CrashPoint | None) -> None:
    assert swept.crash_points_dir
    armed = swept.crash_points_dir / killed_at if killed_at else Path()
    if killed_at:
        armed.touch()
    given_up = begin_upload(png(), LONG_AGO)
    empty = begin_upload(None, LONG_AGO)
    under_way = begin_upload(png(), timedelta(hours=1))
    for media in (given_up, empty):
        eventually("end of it", lambda m=media: _gone(m.media_id, m.object_key), WAIT_S)  # type: ignore[misc]
    assert look(under_way.media_id)
    assert ObjectStore().exists(under_way.object_key)
    assert not killed_at or not armed.exists()


def test_an_object_that_a_slow_writer_finished_late_goes_as_well(swept: Settings) -> None:
    media = begin_upload(None, LONG_AGO)
    eventually("fence", lambda: getattr(look(media.media_id), "attempt", 0) > 1, WAIT_S)
    ObjectStore().put(media.object_key, png())
    eventually("end of it", lambda: _gone(media.media_id, media.object_key), WAIT_S)


def test_media_that_nobody_took_from_the_queue_are_announced_again(swept: Settings) -> None:
    never_owed, lost = store(png(), announced=False), store(png())
    media_ids = [never_owed.media_id, lost.media_id]
    with Catalog().begin() as session:
        session.execute(
            update(Media)
            .where(Media.media_id.in_(media_ids))
            .values(stored_at=datetime.now(UTC) - timedelta(hours=1))
        )

    def published() -> bool:
        with Broker().reader() as reader:
            values = [message.value for message in reader.read_all(swept.kafka_media_topic)]
        events = Counter(MediaEvent.model_validate_json(value).event_id for value in values)
        first, second = (events[event_id_of(media_id, 1)] for media_id in media_ids)
        return first >= 1 and second >= 2

    eventually("both events, one of them again", published, WAIT_S)


def _resumable(receipt: dict[str, str] | None, expires_in: timedelta) -> UUID:
    upload_id = uuid4()
    keys = [f"uploads/{upload_id}/{part}" for part in "ab"]
    with Catalog().begin() as session:
        session.add(
            ResumableUpload(
                upload_id=upload_id,
                owner="test",
                total_bytes=2,
                offset_bytes=2,
                part_keys=keys,
                description={},
                receipt=receipt or null(),  # None would be a JSON null.
                expires_at=datetime.now(UTC) + expires_in,
            )
        )
    for key in keys:
        ObjectStore().put(key, b"x")
    return upload_id


def test_parts_last_as_long_as_their_upload_is_open(swept: Settings) -> None:
    hour = timedelta(hours=1)
    still_open = _resumable(None, hour)
    complete = _resumable({"media_id": "x"}, hour)
    expired = _resumable(None, -hour)
    strays = uuid4()
    ObjectStore().put(f"uploads/{strays}/a", b"x")

    def only_the_open_one() -> bool:
        folders = {key.split("/")[1] for key in ObjectStore().list_keys("uploads")}
        return folders == {str(still_open)}

    eventually("parts deleted", only_the_open_one, WAIT_S)

    def known() -> bool:
        with Catalog().begin() as session:
            left = set(session.scalars(select(ResumableUpload.upload_id)))
        assert {still_open, complete} <= left
        return expired not in left

    eventually("row deleted", known, WAIT_S)


def test_old_answers_are_forgotten(swept: Settings) -> None:
    now = datetime.now(UTC)
    with Catalog().begin() as session:
        for key, age_s in (("old", 90), ("new", 0)):
            session.add(
                Acknowledgement(
                    owner="test",
                    idempotency_key=key,
                    fingerprint="f",
                    answer={},
                    created_at=now - timedelta(seconds=age_s),
                )
            )

    def forgotten() -> bool:
        with Catalog().begin() as session:
            keys = session.scalars(select(Acknowledgement.idempotency_key)).all()
        return keys == ["new"]

    eventually("old answer gone", forgotten, WAIT_S)


def test_a_pass_by_hand_says_what_it_did(swept: Settings) -> None:
    done = visionops("sweep")
    assert done.returncode == 0, done.stderr
    assert "uploads given up" in done.stdout


async def _chunks(count: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1_000_000
    if error:
        raise error


@pytest.mark.parametrize("megabytes", [0, 1, 20])
def test_a_stream_that_fails_leaves_no_object(swept: Settings, megabytes: int) -> None:
    store, key = ObjectStore(), f"streams/{uuid4()}"
    asyncio.run(store.put_stream_async(key, _chunks(megabytes)))
    assert store.size_bytes(key) == megabytes * 1_000_000
    asyncio.run(store.delete_async(key))
    assert not store.exists(key)
    with pytest.raises(CorruptMediaError, match="broken"):
        asyncio.run(store.put_stream_async(key, _chunks(megabytes, CorruptMediaError("broken"))))
    assert not store.exists(key)
    assert abort_unfinished(timedelta(0)) == 0


def test_a_stream_that_is_cut_off_leaves_parts_that_can_be_freed(swept: Settings) -> None:
    store, key = ObjectStore(), f"streams/{uuid4()}"

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in _chunks(12):
            yield chunk
        await asyncio.sleep(60)

    async def cut_off() -> None:
        async with asyncio.timeout(3):
            await store.put_stream_async(key, stalling())

    with pytest.raises(TimeoutError):
        asyncio.run(cut_off())
    assert not store.exists(key)
    assert abort_unfinished(timedelta(hours=1)) == 0
    assert abort_unfinished(timedelta(0)) == 1
    assert abort_unfinished(timedelta(0)) == 0


def test_ranges_of_an_object_are_read(swept: Settings) -> None:
    store, key = ObjectStore(), f"ranges/{uuid4()}"
    asyncio.run(store.put_async(key, b"0123456789"))
    assert store.get_range(key, 2, 3) == b"234"
    assert store.get_range(key, 8, 100) == b"89"


def _versioned(settings: Settings) -> Any:
    """Make a bucket that keeps versions; return a client of it that only knows the usual keys."""
    assert settings.s3_access_key_id
    assert settings.s3_secret_access_key
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
    )
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    return client


def test_an_object_is_erased_with_all_its_versions(
    swept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _versioned(swept)
    for key in ("media/a", "media/a.b", "shards/1/a"):
        for body in (b"first", b"second"):
            client.put_object(Bucket="versioned", Key=key, Body=body)
    client.delete_object(Bucket="versioned", Key="media/a")

    def left(prefix: str) -> list[str]:
        listed = client.list_object_versions(Bucket="versioned", Prefix=prefix)
        both = listed.get("Versions", []) + listed.get("DeleteMarkers", [])
        return sorted(each["Key"] for each in both)

    assert left("media") == ["media/a"] * 3 + ["media/a.b"] * 2
    monkeypatch.setenv("VISIONOPS_S3_BUCKET", "versioned")
    load_settings.cache_clear()
    try:
        eraser = Eraser()
        assert eraser.erase("media/a") == 3
        assert left("media") == ["media/a.b"] * 2
        assert eraser.erase("media/a") == 0
        assert eraser.erase_below("shards/1") == 2
        assert left("shards") == []
    finally:
        monkeypatch.undo()
        load_settings.cache_clear()


def test_an_object_of_a_bucket_without_versions_is_erased(swept: Settings) -> None:
    store, key = ObjectStore(), f"erased/{uuid4()}"
    store.put(key, b"x")
    assert Eraser().erase(key) == 1
    assert not store.exists(key)
    assert Eraser().erase(key) == 0
