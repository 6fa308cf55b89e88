"""Forgotten media are gone wherever they were, whatever is killed meanwhile, and stay so."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import func, select, update

from tests.integration.media_rows import png, store
from tests.integration.test_second_chances import relayed, said, take_new_messages
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.damage import make_again
from visionops_assets.catalog.forgetting import TOMBSTONES
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.outbox import announce
from visionops_assets.catalog.schema import AnnotationRow, ErasedObject, Frame, Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.resources.frame_reading import FrameReader
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings, load_settings

__all__ = ["relayed"]

POINTS = [
    "forget.begun",
    "forget.shard_written",
    "forget.shard_switched",
    "forget.object_erased",
]


@pytest.fixture(scope="module", autouse=True)
def crash_points(relayed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("armed")


def processed(*contents: bytes) -> list[Media]:
    """Store files, label them, and have them processed in one batch: in one shard."""
    files = [store(data) for data in contents]
    with Catalog().begin() as session:
        for media in files:
            word = {"payload": {"label": "cat"}, "origin": "test"}
            session.add(AnnotationRow(media_id=media.media_id, **word))
    take_new_messages()
    return files


def frame_of(media: Media) -> Frame | None:
    with Catalog().begin() as session:
        return session.scalars(select(Frame).where(Frame.media_id == media.media_id)).one_or_none()


def forget(*words: str, armed: Path | None = None) -> int:
    """Run the command in a process of its own, which may be killed at a point."""
    env = os.environ | ({"VISIONOPS_CRASH_POINTS_DIR": str(armed)} if armed else {})
    command = [sys.executable, "-m", "visionops_assets", "forget", *words]
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode


def assert_gone(media: Media, old: Frame) -> None:
    with Catalog().begin() as session:
        row = session.get_one(Media, media.media_id)
        assert (row.status, row.filename, row.uploaded_by) == (MediaStatus.FORGOTTEN, None, None)
        for table in (Frame, AnnotationRow):
            query = select(func.count()).where(table.media_id == media.media_id)
            assert session.scalar(query) == 0
        assert session.scalar(select(func.count()).select_from(ErasedObject)) == 0
    objects = ObjectStore()
    assert not objects.exists(media.object_key)
    assert not objects.exists(old.shard_key)
    assert objects.exists(f"{TOMBSTONES}{media.sha256}")


def pixels_of(frame_id: UUID) -> bytes:
    """Read a frame as every stage does."""
    ids, places = [str(frame_id)], FramePlaces(Catalog())
    [encoded] = FrameReader(ObjectStore(), places, ids, places.find(ids)).read(np.array([0]))
    return encoded


@pytest.mark.attack
@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_that_is_killed_goes_on(crash_points: Path, point: str) -> None:
    """`forget` killed at each of its points: nothing is left, and no frame of others is lost."""
    gone, stays = processed(png(), png())
    old, kept = frame_of(gone), frame_of(stays)
    assert old
    assert kept
    assert old.shard_key == kept.shard_key
    before = pixels_of(kept.frame_id)
    (crash_points / point).touch()
    words = ("media", str(gone.media_id), "--yes")
    assert forget(*words, armed=crash_points) == -signal.SIGKILL
    assert not (crash_points / point).exists()
    assert pixels_of(kept.frame_id) == before
    assert forget("--resume") == 0
    assert_gone(gone, old)
    assert pixels_of(kept.frame_id) == before


def test_what_would_go_is_said_and_nothing_comes_back() -> None:
    data = png()
    gone, stays = processed(data, png())
    old = frame_of(gone)
    assert old
    shown = said("forget", "media", str(gone.media_id), "--dry-run")
    assert "Would erase 1 media files" in shown
    assert "1 frames in 1 shards, 1 annotations" in shown
    assert ObjectStore().exists(gone.object_key)
    assert "Erased 1 media files" in said("forget", "media", str(gone.media_id), "--yes")
    assert_gone(gone, old)
    # Its event is delivered again, its shard is found damaged, and it is announced once more.
    with Catalog().begin() as session:
        row = session.get_one(Media, gone.media_id)
        row.announcement += 1
        announce(session, load_settings().kafka_media_topic, row)
        assert make_again(session, load_settings().kafka_media_topic, {old.shard_key: "gone"}) == 0
    take_new_messages()
    assert_gone(gone, old)
    # A database of before is restored, and the object with it.
    with Catalog().begin() as session:
        alive = {"status": MediaStatus.PROCESSED, "filename": "a.png"}
        session.execute(update(Media).where(Media.media_id == gone.media_id).values(**alive))
    ObjectStore().put(gone.object_key, data)
    said("forget", "--resume")
    assert_gone(gone, old)
    # One of before its upload: the content is known by its tombstone alone.
    with Catalog().begin() as session:
        session.execute(
            update(Media)
            .where(Media.media_id == gone.media_id)
            .values(sha256="0" * 64, status=MediaStatus.QUARANTINED)
        )
    said("forget", "--resume")
    with Catalog().begin() as session:
        known = select(func.count()).where(
            Media.sha256 == gone.sha256, Media.status == MediaStatus.FORGOTTEN
        )
        assert session.scalar(known) == 1
    assert frame_of(stays)


def test_a_source_is_forgotten_up_to_a_time() -> None:
    files = [store(png(), source="leaving") for _ in range(3)]
    take_new_messages()
    with Catalog().begin() as session:
        session.get_one(Media, files[0].media_id).captured_at = datetime(2026, 1, 1, tzinfo=UTC)
    said("forget", "--source", "leaving", "--before", "2026-02-01", "--yes")
    with Catalog().begin() as session:
        left = select(Media.media_id).where(
            Media.source == "leaving", Media.status == MediaStatus.PROCESSED
        )
        assert set(session.scalars(left)) == {each.media_id for each in files[1:]}
    said("forget", "--source", "leaving", "--yes")
    assert frame_of(files[2]) is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "Say one"),
        (("media", "x"), "is not the id"),
        (("media", "00000000-0000-0000-0000-000000000000"), "no media file"),
        (("--source", "nobody"), "no media file of source"),
        (("--before", "2026-01-01", "--resume"), "Say one"),
    ],
)
def test_what_is_wrong_is_said(words: tuple[str, ...], reason: str) -> None:
    env = dict(os.environ)
    command = [sys.executable, "-m", "visionops_assets", "forget", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())
