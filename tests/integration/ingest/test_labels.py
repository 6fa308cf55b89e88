"""Labels that are taken back: every reader of them follows."""

from datetime import UTC, datetime, timedelta
from math import isfinite
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from tests.declared import declaration
from visionops_assets.catalog import labels, media
from visionops_assets.catalog.asked import origin_of
from visionops_assets.catalog.datasets import (
    add_snapshot,
    count_by_label,
    label_backlog,
    labelled_frames,
    newest_snapshot,
    now,
    snapshots_newest_first,
)
from visionops_assets.catalog.labelling_items import askable_predictions
from visionops_assets.catalog.performance import newest_observations
from visionops_assets.catalog.schema import (
    AnnotationRow,
    Frame,
    Media,
    MediaBatch,
    PredictionRow,
    Release,
    Snapshot,
)
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import QuotaExceededError
from visionops_assets.monitoring.errors import count_reports, error_stream

MODEL = declaration(frames={"size_px": 21})
SPEC = MODEL.frames.spec_id
"""That of no other test."""


def file_with_a_frame(session: Session, source: str = "test") -> UUID:
    media_id, key = uuid4(), uuid4().hex
    at = datetime.now(UTC) - timedelta(minutes=1)
    session.add(
        MediaBatch(batch_key=key, topic=key, topic_partition=0, start_offset=0, end_offset=1)
    )
    session.add(
        Media(
            media_id=media_id,
            status=MediaStatus.PROCESSED,
            source=source,
            object_key=key,
            lease_expires_at=at,
            captured_at=at,
            sha256=key,
        )
    )
    session.flush()
    session.add(
        Frame(
            frame_id=uuid4(),
            media_id=media_id,
            spec_id=SPEC,
            frame_index=0,
            time_s=0,
            perceptual_hash=16 * "0",
            shard_key=key,
            shard_offset=0,
            frame_bytes=1,
            batch_key=key,
            created_at=at,
        )
    )
    session.flush()
    return media_id


def said(session: Session, media_id: UUID, *words: tuple[str, str]) -> None:
    """Add labels of media, each with its author."""
    for label, author in words:
        session.add(
            AnnotationRow(media_id=media_id, payload={"label": label}, origin="test", author=author)
        )
        session.flush()


def prediction(
    key: UUID, model_name: str, snapshot_id: str, at: datetime, offset: int
) -> PredictionRow:
    """Make a prediction of version 1: a cat."""
    return PredictionRow(
        prediction_id=key,
        topic=model_name,
        topic_partition=0,
        topic_offset=offset,
        predicted_at=at,
        model_name=model_name,
        model_version=1,
        snapshot_id=snapshot_id,
        label="cat",
        probabilities=[0.9, 0.1],
        embedding=[],
        image_sha256="",
        latency_ms=1,
    )


def labels_at(session: Session, watermark: datetime) -> list[str]:
    return [row["label"] for row in labelled_frames(session, MODEL, watermark)]


def test_what_others_said_before_counts_again(session: Session) -> None:
    author, media_id = uuid4().hex, file_with_a_frame(session)
    said(session, media_id, ("cat", "ann"), ("dog", author), ("cow", author))
    assert media.newest_label(session, media_id) == "cow"
    assert labels.revoke(session, author) == (2, 0)
    assert labels.revoke(session, author) == (0, 0)
    assert media.newest_label(session, media_id) == "cat"
    assert labels_at(session, now(session)) == ["cat"]
    said(session, media_id, ("dog", author))
    assert media.newest_label(session, media_id) == "dog"


def test_labels_from_a_time_on_are_taken_back(session: Session) -> None:
    author, media_id = uuid4().hex, file_with_a_frame(session)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    session.add(
        AnnotationRow(
            media_id=media_id,
            payload={"label": "cat"},
            origin="t",
            author=author,
            created_at=long_ago,
        )
    )
    said(session, media_id, ("dog", author))
    assert labels.revoke(session, author, long_ago + timedelta(hours=1)) == (1, 0)
    assert media.newest_label(session, media_id) == "cat"


@pytest.mark.attack
def test_a_snapshot_follows_and_one_of_before_stays(session: Session) -> None:
    """Labels taken back leave the next snapshot, and not the ones of before."""
    author, media_id = uuid4().hex, file_with_a_frame(session)
    before = datetime.now(UTC) - timedelta(seconds=30)
    session.add(
        AnnotationRow(
            media_id=media_id,
            payload={"label": "cat"},
            origin="t",
            author=author,
            created_at=before,
        )
    )
    session.add(
        Snapshot(
            snapshot_id=uuid4().hex,
            model_name=MODEL.name,
            watermark=before,
            spec_id=SPEC,
            spec={},
            classes=["cat"],
            train_frames=1,
            holdout_frames=0,
            object_prefix="x",
        )
    )
    session.flush()
    assert label_backlog(session, MODEL).new_frames == 0
    labels.revoke(session, author)
    assert labels_at(session, before) == ["cat"]
    assert labels_at(session, now(session)) == []
    assert label_backlog(session, MODEL).new_frames == 1


@pytest.mark.parametrize(
    ("sources", "seen"),
    [
        (("*",), {"gate-1", "gate-22", "yard_%"}),
        (("gate-?",), {"gate-1"}),
        (("gate-*", "yard_%"), {"gate-1", "gate-22", "yard_%"}),
        (("gate-1",), {"gate-1"}),
        (("%",), set()),
        (("gate_*",), set()),
    ],
)
def test_a_model_sees_the_sources_that_it_declares_and_its_own_snapshots(
    session: Session, sources: tuple[str, ...], seen: set[str]
) -> None:
    for source in ("gate-1", "gate-22", "yard_%"):
        said(session, file_with_a_frame(session, source), (source, uuid4().hex))
    model = declaration("seer", frames={"size_px": 21}, media={"sources": sources})
    at = now(session)
    assert {row["label"] for row in labelled_frames(session, model, at)} == seen
    assert count_by_label(session, model) == dict.fromkeys(seen, 1)
    backlog = label_backlog(session, model)
    assert (backlog.new_frames, isfinite(backlog.newest_age_s)) == (len(seen), bool(seen))
    for name in ("seer", "another"):
        snapshot = Snapshot(
            snapshot_id=f"ds-{name}",
            model_name=name,
            watermark=at + timedelta(seconds=name == "another"),
            spec_id=SPEC,
            spec={},
            classes=[],
            train_frames=len(seen) if name == "seer" else 0,
            holdout_frames=0,
            object_prefix="x",
        )
        assert add_snapshot(session, snapshot)
    assert label_backlog(session, model).new_frames == 0
    newest = newest_snapshot(session, "seer")
    assert newest is not None
    assert newest.snapshot_id == "ds-seer"
    assert [found.model_name for found in snapshots_newest_first(session, "seer")] == ["seer"]


@pytest.mark.attack
def test_alarm_and_accuracy_follow_and_leave_out_what_is_no_class(session: Session) -> None:
    """A label that no model knows is no error of the model."""
    author, name = uuid4().hex, uuid4().hex
    snapshot_id, released_at = uuid4().hex, datetime.now(UTC) - timedelta(hours=1)
    release = Release(
        model_name=name,
        model_version=1,
        snapshot_id=snapshot_id,
        manifest_sha256="",
        released_at=released_at,
    )
    session.add(release)
    session.add(
        Snapshot(
            snapshot_id=snapshot_id,
            model_name=name,
            watermark=released_at,
            spec_id=SPEC,
            spec={},
            classes=["cat", "dog"],
            train_frames=1,
            holdout_frames=0,
            object_prefix="x",
        )
    )
    for number, (label, who) in enumerate(
        [("cat", "ann"), ("dog", author), ("dgo", "ann"), ("dog", "ann")]
    ):
        key = uuid4()
        at = released_at + timedelta(minutes=number)
        session.add(prediction(key, name, snapshot_id, at, number))
        session.flush()
        labels.add_prediction_label(session, key, {"label": label}, "feedback", who)
    assert error_stream(session, release, "classification").tolist() == [False, True, True]
    seen = newest_observations(session, release, 10)
    assert [one.is_labelled for one in seen] == [True, True, False, True]
    assert [one.confidence for one in seen] == [0.9, 0.9, 0.9, 0.9]
    newest = session.get_one(PredictionRow, seen[-1].prediction_id)
    newest.answer = {"labels": ["cat"], "confidence": 0.25}
    session.flush()
    assert newest_observations(session, release, 10)[-1].confidence == 0.25
    assert labels.revoke(session, author) == (0, 1)
    assert error_stream(session, release, "classification").tolist() == [False, True]
    seen = newest_observations(session, release, 10)
    assert [one.truth for one in seen] == ["cat", None, "dgo", "dog"]


def test_volunteered_labels_say_nothing_of_accuracy_and_are_counted_as_reports(
    session: Session,
) -> None:
    name, released_at = uuid4().hex, datetime.now(UTC) - timedelta(hours=1)
    release = Release(
        model_name=name,
        model_version=1,
        snapshot_id="none",
        manifest_sha256="",
        released_at=released_at,
    )
    session.add(release)
    asked, reported, before = (uuid4() for _ in range(3))
    for number, key in enumerate((asked, reported, before)):
        at = released_at + timedelta(minutes=number)
        session.add(prediction(key, name, "none", at, number))
    session.flush()
    dog, cat = {"label": "dog"}, {"label": "cat"}
    labels.add_prediction_label(session, reported, dog, labels.VOLUNTEERED, "ann")
    labels.add_prediction_label(session, asked, cat, labels.AUDIT, "ann")
    labels.add_prediction_label(session, asked, dog, labels.VOLUNTEERED, "ben")
    labels.add_prediction_label(session, before, dog, "feedback", "ann")
    assert error_stream(session, release, "classification").tolist() == [False, True]
    seen = newest_observations(session, release, 10)
    assert [one.truth for one in seen] == ["cat", None, "dog"]
    assert [one.prediction_id for one in askable_predictions(session, release, 10)] == [reported]
    assert count_reports(session, release, "classification", released_at) == 2
    later = datetime.now(UTC) + timedelta(hours=1)
    assert count_reports(session, release, "classification", later) == 0


@pytest.mark.parametrize("answers_draw", [False, True])
def test_a_label_answers_a_draw_if_it_says_so_of_a_prediction_that_was_drawn(
    session: Session, answers_draw: bool
) -> None:
    drawn = origin_of(session, uuid4(), 100, answers_draw=answers_draw)
    assert drawn == (labels.AUDIT if answers_draw else labels.VOLUNTEERED)
    undrawn = origin_of(session, uuid4(), 1e-9, answers_draw=answers_draw)
    assert undrawn == labels.VOLUNTEERED


@pytest.mark.attack
def test_labels_of_predictions_that_never_come_are_bounded(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels of predictions that never come: 429 once a key has too many."""
    monkeypatch.setattr(labels, "MAX_EARLY_LABELS", 3)
    author, other = uuid4().hex, uuid4().hex
    early = [uuid4() for _ in range(3)]
    for key in early:
        labels.add_prediction_label(session, key, {"label": "cat"}, "feedback", author)
    session.add(prediction(early[0], "m", "s", datetime.now(UTC), 0))
    session.flush()
    labels.add_prediction_label(session, uuid4(), {"label": "cat"}, "feedback", author)
    with pytest.raises(QuotaExceededError):
        labels.add_prediction_label(session, uuid4(), {"label": "cat"}, "feedback", author)
    labels.add_prediction_label(session, early[0], {"label": "dog"}, "feedback", author)
    labels.add_prediction_label(session, uuid4(), {"label": "cat"}, "feedback", other)
