"""Messages and media that could not be handled: what is kept of them, and how they come back.

The two assets run in this process on the real catalog, queue and object store.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import cv2
import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from tests.declared import use
from tests.defined import asset_of, step_of
from tests.integration.media_rows import look, png, store
from tests.resources.earlier_snapshots import EARLIER_COLUMNS, write_with_images
from tests.services.asgi_client import AsgiClient
from tests.stacks import running_stack, visionops
from tests.vision.real_pictures import PALACE, read
from tests.waiting import eventually
from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.outbox import event_id_of, media_event
from visionops_assets.catalog.processing import batches_without
from visionops_assets.catalog.schema import (
    AnnotationRow,
    ConsumedEvent,
    Frame,
    Media,
    MediaBatch,
    Outbox,
    Snapshot,
)
from visionops_assets.cli import app
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import DamagedArtifactError, InvalidRequestError, NotFoundError
from visionops_assets.models import default_model
from visionops_assets.resources.broker import Broker, OutgoingEvent
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import (
    read_members,
    snapshot_prefix,
    write_snapshot,
)
from visionops_assets.resources.snapshot_reading import (
    SnapshotFiles,
    on_whole_frames,
    read_snapshot,
)
from visionops_assets.services.exporter.app import create_app
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages import frames
from visionops_assets.stages.frames.assets import processed_frames_of
from visionops_assets.stages.media.assets import raw_media
from visionops_assets.vision.crop_hashes import CROPS, cut
from visionops_assets.vision.headers import ImageFormat, image_format
from visionops_assets.vision.monitoring.quality import FRAME_MEASURES
from visionops_assets.vision.preprocessing import decode_frame

WAIT_S = 30


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("second-chances")
    with running_stack(home, {}, "--only", "relay,seaweedfs") as settings:
        yield settings


def publish(*values: bytes) -> None:
    topic = load_settings().kafka_media_topic
    with Broker().producer() as producer:
        producer.publish_all([OutgoingEvent(topic, "test", value, "test") for value in values])


def relay_has_published_all() -> bool:
    with Catalog().begin() as session:
        owed = select(func.count()).where(Outbox.published_at.is_(None))
        return session.scalar(owed) == 0


def take_new_messages() -> OffsetRange:
    """Run the two assets on what was published since the last batch."""
    eventually("empty outbox", relay_has_published_all, WAIT_S)
    topic = load_settings().kafka_media_topic
    with Catalog().begin() as session:
        start = session.scalar(select(func.max(MediaBatch.end_offset))) or 0
    with Broker().reader() as reader:
        end = max(message.offset for message in reader.read_all(topic)) + 1
    offsets = OffsetRange(topic, 0, start, end)
    run_batch(offsets)
    eventually("empty outbox", relay_has_published_all, WAIT_S)
    return offsets


def run_batch(offsets: OffsetRange) -> None:
    resources = {
        "catalog": Catalog(),
        "broker": Broker(),
        "object_store": ObjectStore(),
        "tables": dg.mem_io_manager,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("media_batches", [offsets.batch_key])
        dg.materialize(
            [raw_media, processed_frames_of([default_model().frames])],
            partition_key=offsets.batch_key,
            instance=instance,
            resources=resources,
        )


def listed(*words: str) -> list[dict[str, Any]]:
    """What an `ls --json` says."""
    return [json.loads(line) for line in said(*words, "ls", "--json").splitlines()]


def letters_of(offsets: OffsetRange) -> list[dict[str, Any]]:
    names = {f"{offsets.topic}-0-{offset}" for offset in range(offsets.start, offsets.end)}
    return [row for row in listed("dead-letters") if row["letter"] in names]


def said(*words: str) -> str:
    """What a command prints, run in this process."""
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def now(media: Media) -> Media:
    row = look(media.media_id)
    assert row
    return row


def effects(media: Media) -> tuple[list[Any], int]:
    """The events of a file that were taken, and how many frames it has."""
    with Catalog().begin() as session:
        events = select(ConsumedEvent.event_id).where(ConsumedEvent.media_id == media.media_id)
        frames = select(func.count()).where(Frame.media_id == media.media_id)
        return list(session.scalars(events)), session.scalar(frames) or 0


def test_messages_that_cannot_be_handled_do_not_stop_the_others(relayed: Settings) -> None:
    good, silent = store(png()), store(png(), announced=False)
    stranger, unannounced = (
        media_event(silent).model_copy(update={field: uuid4()}).model_dump_json().encode()
        for field in ("media_id", "event_id")
    )
    publish(b"\x00\xff\x1b[2Jhello", stranger, unannounced)
    batch = take_new_messages()
    run_batch(batch)  # Owes no letter again.
    assert now(good).status is MediaStatus.PROCESSED
    assert now(silent).status is MediaStatus.STORED
    letters = letters_of(batch)
    codes = ["unreadable_event", "unknown_media", "unknown_announcement"]
    assert [row["code"] for row in letters] == codes
    assert not any(row["handled"] for row in letters)
    shown = said("dead-letters", "show", letters[0]["letter"])
    assert "hello" in shown
    assert "\x1b" not in shown
    assert str(silent.media_id) in said("dead-letters", "show", letters[2]["letter"])


def test_a_replayed_letter_has_its_effect_once(relayed: Settings) -> None:
    media = store(png(), announced=False)
    event = media_event(media).model_dump_json().encode()
    with Catalog().begin() as session:
        session.delete(session.get_one(Media, media.media_id))
    publish(event)
    (letter,) = letters_of(take_new_messages())
    assert letter["code"] == "unknown_media"
    with Catalog().begin() as session:  # As if restored from a backup.
        session.add(Media(**{c.name: getattr(media, c.name) for c in Media.__table__.columns}))
    for _ in range(2):
        said("dead-letters", "replay", letter["letter"])
        assert letters_of(take_new_messages()) == []
    assert now(media).status is MediaStatus.PROCESSED
    assert effects(media) == ([event_id_of(media.media_id, 1)], 1)
    assert [r["handled"] for r in listed("dead-letters") if r["letter"] == letter["letter"]] == [
        True
    ]


def test_all_that_is_not_handled_is_replayed_equal_messages_once(relayed: Settings) -> None:
    publish(b"the same", b"the same")
    assert len(letters_of(take_new_messages())) == 2
    waiting = [row for row in listed("dead-letters") if not row["handled"]]
    said("dead-letters", "replay", "--all")
    assert len(letters_of(take_new_messages())) < len(waiting)
    said("dead-letters", "replay", "--all")
    assert len(letters_of(take_new_messages())) < len(waiting)


@pytest.mark.parametrize(
    "words", [("replay",), ("replay", "--all", "media-0-0"), ("show", "media-0-999999")]
)
def test_letters_must_be_named(relayed: Settings, words: tuple[str, ...]) -> None:
    with pytest.raises((NotFoundError, InvalidRequestError)):
        said("dead-letters", *words)


def test_a_released_file_is_processed_by_todays_limits(
    relayed: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = png()
    media = store(data)
    monkeypatch.setenv("VISIONOPS_MAX_IMAGE_PIXELS", "100")
    load_settings.cache_clear()
    take_new_messages()
    assert now(media).status is MediaStatus.QUARANTINED
    (row,) = [r for r in listed("quarantine") if r["media_id"] == str(media.media_id)]
    assert (row["reason_code"], row["bytes"]) == ("too_many_pixels", len(data))
    copy = tmp_path / "copy"
    shown = said("quarantine", "show", str(media.media_id), "--save", str(copy))
    assert "89 50 4e 47" in shown
    assert copy.read_bytes() == data

    said("quarantine", "retry", "--code", "too_many_pixels")
    take_new_messages()
    again = now(media)
    assert (again.status, again.announcement) == (MediaStatus.QUARANTINED, 2)

    monkeypatch.undo()
    load_settings.cache_clear()
    said("quarantine", "retry", str(media.media_id))
    assert (now(media).status, now(media).reason_code) == (MediaStatus.STORED, None)
    take_new_messages()
    done = now(media)
    assert (done.status, done.reason_code, done.announcement) == (MediaStatus.PROCESSED, None, 3)
    events = [event_id_of(media.media_id, number) for number in (1, 2, 3)]
    assert (sorted(effects(media)[0]), effects(media)[1]) == (sorted(events), 1)


@pytest.mark.attack
def test_a_file_that_the_store_lost_is_quarantined_alone_and_comes_back(relayed: Settings) -> None:
    """A raw file that is gone and one that was altered: each is quarantined alone."""
    data = png()
    gone, altered, good = store(data), store(png()), store(png())
    ObjectStore().delete(gone.object_key)
    ObjectStore().put(altered.object_key, png())
    take_new_messages()
    assert [now(media).reason_code for media in (gone, altered)] == ["missing", "altered"]
    assert now(good).status is MediaStatus.PROCESSED
    assert "the object is gone" in said("quarantine", "show", str(gone.media_id))
    ObjectStore().put(gone.object_key, data)
    said("quarantine", "retry", str(gone.media_id))
    take_new_messages()
    assert now(gone).status is MediaStatus.PROCESSED
    assert now(altered).status is MediaStatus.QUARANTINED


@pytest.mark.attack
def test_a_damaged_shard_is_left_out_told_of_and_made_again(
    relayed: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A flipped bit in a shard: it is left out of snapshots, told of, and made again."""
    use(monkeypatch, tmp_path / "models", snapshots={"min_holdout_per_class": 1})
    batches = []
    for _ in range(2):
        batches.append([store(png()) for _ in range(8)])
        with Catalog().begin() as session:
            for number, media in enumerate(batches[-1]):
                label = AnnotationRow(
                    media_id=media.media_id, payload={"label": "ab"[number % 2]}, origin="test"
                )
                session.add(label)
        take_new_messages()
    before = cut_snapshot()
    assert len(before) == 16
    first = {str(media.media_id) for media in batches[0]}
    with Catalog().begin() as session:
        frames = select(Frame).where(Frame.media_id == batches[0][0].media_id)
        frame = session.scalars(frames).one()
    shard, at = ObjectStore().get(frame.shard_key), frame.shard_offset + frame.frame_bytes // 2
    ObjectStore().put(frame.shard_key, shard[:at] + bytes([shard[at] ^ 1]) + shard[at + 1 :])
    told: list[str] = []
    assert set(judged_by(snapshot_of(before), told)) == set(before["media_id"]) - first
    assert "8 media files are announced again" in told[0]
    assert set(cut_snapshot()["media_id"]) == set(before["media_id"]) - first
    assert {now(media).status for media in batches[0]} == {MediaStatus.STORED}
    assert "visionops_shards_damaged 1.0" in exported()
    take_new_messages()
    assert {now(media).status for media in batches[0]} == {MediaStatus.PROCESSED}
    columns = ["frame_id", "label", "split"]
    again, known = (each.sort_values("frame_id")[columns] for each in (cut_snapshot(), before))
    assert again.reset_index(drop=True).equals(known.reset_index(drop=True))
    assert sorted(judged_by(snapshot_of(before), told)) == sorted(before["media_id"])
    assert len(told) == 2
    monkeypatch.undo()
    load_settings.cache_clear()


@pytest.mark.attack
def test_a_snapshot_that_was_altered_in_the_store_is_not_read(relayed: Settings) -> None:
    """A flipped bit in a snapshot of this version, and in one of a version before: none is read."""
    store, snapshot_id = ObjectStore(), f"ds-{uuid4().hex[:16]}"
    members = pd.DataFrame([["f", "m", "g", "a", 0, "train"]], columns=EARLIER_COLUMNS)
    write_with_images(store, snapshot_id, np.ones((1, 4, 4, 3), np.uint8), members)
    write_snapshot(store, f"{snapshot_id}-new", members)
    names = {snapshot_id: "images.npy", f"{snapshot_id}-new": "members.parquet"}
    for each, name in names.items():
        key = f"{snapshot_prefix(each)}/{name}"
        data = store.get(key)
        store.put(key, bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(DamagedArtifactError, match=name):
            read_snapshot(store, each, FramePlaces(Catalog()))


def snapshot_of(members: pd.DataFrame) -> str:
    """Return the id of the snapshot that was cut with these members."""
    with Catalog().begin() as session:
        newest = select(Snapshot).order_by(Snapshot.created_at.desc())
        ids = [each.snapshot_id for each in session.scalars(newest)]
    return next(
        each
        for each in ids
        if set(read_members(ObjectStore(), each)["frame_id"]) == set(members["frame_id"])
    )


def judged_by(snapshot_id: str, told: list[str]) -> list[str]:
    """Read all pixels of a snapshot, as every stage does; return the media that had some."""

    def work(files: SnapshotFiles) -> list[str]:
        assert len(files.images[:]) == len(files.members)
        return [str(each) for each in files.members["media_id"]]

    return on_whole_frames(ObjectStore(), snapshot_id, FramePlaces(Catalog()), work, told.append)


def cut_snapshot() -> pd.DataFrame:
    """Run the two assets on the labels of now, and return the members."""
    resources = {
        "catalog": Catalog(),
        "object_store": ObjectStore(),
        "tables": dg.mem_io_manager,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        cut = [asset_of("labels"), asset_of("dataset_snapshot")]
        run = dg.materialize(cut, instance=instance, resources=resources)
        members: pd.DataFrame = run.output_for_node(step_of("dataset_snapshot"))
    return members


def exported() -> str:
    return AsgiClient(create_app(Catalog(), load_settings())).get("/metrics").text


def test_only_what_is_in_quarantine_is_retried_all_or_nothing(relayed: Settings) -> None:
    truncated, good = store(png()[:900]), store(png())
    take_new_messages()
    assert now(truncated).reason_code == "corrupt"
    ids = [str(media.media_id) for media in (truncated, good)]
    done = visionops("quarantine", "retry", *ids)
    assert done.returncode == 2
    assert f"{good.media_id} is not in quarantine: it is processed" in done.stderr
    assert now(truncated).status is MediaStatus.QUARANTINED
    for words in ((), (ids[0], "--code", "corrupt"), ("--code", "nonsense"), (str(uuid4()),)):
        with pytest.raises((NotFoundError, InvalidRequestError)):
            said("quarantine", "retry", *words)
    assert "corrupt" in said("quarantine", "ls")
    assert 'visionops_media_quarantined{code="corrupt"} 1.0' in exported()


def test_how_a_file_was_processed_is_on_record_and_another_spec_adds_to_it(
    relayed: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good, bad = store(png()), store(png()[:-40])
    first = take_new_messages()
    spec = default_model().frames
    shown = json.loads(said("media", "show", str(good.media_id), "--json"))
    [record] = shown["processing"]
    assert (shown["status"], shown["object_key"]) == ("processed", good.object_key)
    assert (record["spec_id"], record["frames"]) == (spec.spec_id, 1)
    assert record["parameters"] == spec.model_dump(mode="json")
    assert record["milliseconds"] > 0
    assert record["decoder"].startswith("opencv")
    assert [key.split("/")[1] for key in record["shards"]] == [spec.spec_id]
    [refused] = json.loads(said("media", "show", str(bad.media_id), "--json"))["processing"]
    assert (refused["status"], refused["reason_code"]) == ("quarantined", "corrupt")

    use(monkeypatch, tmp_path / "models", frames={"size_px": 16, "jpeg_quality": 90})
    other = default_model().frames
    with Catalog().begin() as session:
        lacking = batches_without(session, other.spec_id)
        # Damaged files have no frames to make again: they are retried.
        assert lacking[first.batch_key] == 1
        stored_at = session.get_one(Media, good.media_id).stored_at
        assert stored_at is not None
        later = batches_without(session, other.spec_id, stored_at + timedelta(seconds=1))
        assert first.batch_key not in later
    run_batch(first)
    with Catalog().begin() as session:
        assert first.batch_key not in batches_without(session, other.spec_id)
        assert first.batch_key not in batches_without(session, spec.spec_id)
    picture = tmp_path / "thumbnail"
    shown = json.loads(
        said("media", "show", str(good.media_id), "--thumbnail", str(picture), "--json")
    )
    assert shown["processing"][0] == record
    assert shown["processing"][1]["spec_id"] == other.spec_id
    printed = said("media", "show", str(good.media_id))
    for words in (rf"spec_id +{spec.spec_id}", '"size_px": 16', "decoder +opencv"):
        assert re.search(words, printed), words
    assert image_format(picture.read_bytes()) is ImageFormat.JPEG
    assert decode_frame(picture.read_bytes()).shape == (16, 16, 3)
    assert effects(good)[1] == 2
    with Catalog().begin() as session:
        qualities = session.scalars(select(Frame.quality).where(Frame.media_id == good.media_id))
        assert [len(quality) for quality in qualities] == [len(FRAME_MEASURES)] * 2
    monkeypatch.undo()
    load_settings.cache_clear()


def checked() -> dict[str | None, dg.AssetCheckResult]:
    """Evaluate the checks of frames on the catalog."""
    (sources,) = frames.shared([default_model()]).asset_checks or []
    assert isinstance(sources, dg.AssetChecksDefinition)
    results = cast("Iterator[dg.AssetCheckResult]", sources(catalog=Catalog()))
    return {result.check_name: result for result in results}


def test_a_camera_that_shows_nothing_is_told_of(relayed: Settings) -> None:
    store(png())
    take_new_messages()
    before = checked()
    assert before["frames_show_something"].passed
    assert before["cameras_are_not_frozen"].passed
    for level in range(6):
        store(cv2.imencode(".png", np.full((40, 40, 3), level, np.uint8))[1].tobytes(), source="c7")
    same = np.frombuffer(np.random.default_rng().bytes(1_200), np.uint8).reshape(20, 20, 3)
    for size in range(10):
        # The frame is the same, the file is another.
        picture = cv2.imencode(".png", same)[1].tobytes()
        store(picture + b"x" * size, source="c8")
    take_new_messages()
    after = checked()
    dark, repeated = after["frames_show_something"], after["cameras_are_not_frozen"]
    assert not dark.passed
    assert dark.description == "c7: 6 of 6 frames are blank."
    assert dark.severity is dg.AssetCheckSeverity.WARN
    assert repeated.description == "c8: 10 of 10 frames are the same one."


def encoded(rgb: np.ndarray, ending: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 60] if ending == ".jpg" else []
    return cv2.imencode(ending, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def test_a_near_copy_is_listed_with_its_original(relayed: Settings) -> None:
    """By hashes that were computed with the frames, and by those that were not."""
    photograph = read(PALACE)
    halves = np.array_split(photograph, 2, axis=1)
    original = store(encoded(halves[0], ".png"), source="yard")
    other = store(encoded(halves[1], ".png"), source="yard")
    copy = store(encoded(cut(halves[0], CROPS[1]), ".jpg"), source="yard")
    store(png()[:-40], source="yard")
    take_new_messages()
    words = ("media", "duplicates", "--source", "yard", "--json")
    [found] = map(json.loads, said(*words).splitlines())
    assert found["media_id"] == str(copy.media_id)
    assert found["copy_of"] == found["group"] == str(original.media_id)
    assert found["distance"] <= 12
    assert found["similarity"] > 0.9

    ours = [media.media_id for media in (original, other, copy)]
    with Catalog().begin() as session:
        session.execute(update(Frame).values(crop_hashes=None))
    assert [json.loads(line) for line in said(*words).splitlines()] == [found]
    with Catalog().begin() as session:
        hashes = session.scalars(select(Frame.crop_hashes).where(Frame.media_id.in_(ours))).all()
    assert [len(each or b"") for each in hashes] == [8 * len(CROPS)] * 3

    assert str(copy.media_id) in said("media", "duplicates")
    assert said(*words, "--since", "2100-01-01") == ""
    with pytest.raises(NotFoundError, match="No file of the source 'nowhere' was processed"):
        said("media", "duplicates", "--source", "nowhere")
