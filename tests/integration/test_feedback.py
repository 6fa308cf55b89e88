"""Adopted labels and the error stream, by rows put straight into a real catalog."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import func, select

from tests.integration.media_rows import png
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.feedback import adopt, labels_to_adopt
from visionops_assets.catalog.performance import (
    embeddings_of,
    monitored_releases,
    newest_observations,
)
from visionops_assets.catalog.schema import (
    AdoptedLabel,
    AnnotationRow,
    Media,
    Outbox,
    PredictionRow,
    Release,
)
from visionops_assets.contracts import Role
from visionops_assets.contracts.payloads import text_of
from visionops_assets.monitoring.errors import error_stream
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings
from visionops_assets.stages.monitoring.feedback import facts_of, feedback_media


def labels_of(media_id: UUID) -> list[str]:
    with Catalog().begin() as session:
        query = (
            select(AnnotationRow.payload)
            .where(AnnotationRow.media_id == media_id)
            .order_by(AnnotationRow.annotation_id)
        )
        return list(map(text_of, session.scalars(query)))


def kept_prediction(image: bytes | None, **fields: object) -> PredictionRow:
    """A prediction whose image is in the store if there is one."""
    key = uuid4()
    row = PredictionRow(
        **{
            "prediction_id": key,
            "topic": f"test-{key}",
            "topic_partition": 0,
            "topic_offset": 0,
            "predicted_at": datetime.now(UTC),
            "model_name": "kept-by-a-test",
            "model_version": 1,
            "snapshot_id": "snapshot-1",
            "label": "a",
            "probabilities": [0.25, 0.75],
            "embedding": [1.0, 2.0],
            "image_sha256": "0" * 64,
            "latency_ms": 1,
            "image_key": f"predictions/test/{key}",
            **fields,
        }
    )
    if image is not None and row.image_key is not None:
        ObjectStore().put(row.image_key, image)
    with Catalog().begin() as session:
        session.add(row)
    return row


def label(row: PredictionRow, *names: str) -> list[int]:
    rows = [
        AnnotationRow(prediction_id=row.prediction_id, payload={"label": name}, origin="test")
        for name in names
    ]
    with Catalog().begin() as session:
        session.add_all(rows)
        session.flush()
        return [added.annotation_id for added in rows]


def adopt_all() -> None:
    """Do what a run does; those of the stack's sensors may do the same at the same time."""
    feedback_media(dg.build_asset_context(), catalog=Catalog(), object_store=ObjectStore())


def adopted(label_ids: Sequence[int]) -> dict[int, UUID]:
    with Catalog().begin() as session:
        query = select(AdoptedLabel).where(AdoptedLabel.label_id.in_(label_ids))
        return {row.label_id: row.media_id for row in session.scalars(query)}


@pytest.mark.usefixtures("stack")
def test_whoever_adopts_at_the_same_time_a_label_is_adopted_once() -> None:
    image = png()
    first, second = kept_prediction(image), kept_prediction(image)
    label_ids = [*label(first, "x"), *label(second, "x", "y")]
    topic = load_settings().kafka_media_topic
    with Catalog().begin() as session:
        found = labels_to_adopt(session, label_ids[0] - 1, limit=200)
    images = [(one, facts_of(image)) for one in found if one.label_id in label_ids]

    def adopt_them(_: int) -> None:
        with Catalog().begin() as session:
            adopt(session, topic, images)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(adopt_them, range(6)))
    adopt_all()
    media_ids = set(adopted(label_ids).values())
    assert adopted(label_ids).keys() == set(label_ids)
    (media_id,) = media_ids
    assert labels_of(media_id) == ["x", "y"]
    with Catalog().begin() as session:
        events = select(func.count()).where(Outbox.message_key == str(media_id))
        assert session.scalar(events) == 1
        same = select(func.count()).where(Media.sha256 == facts_of(image).sha256)
        assert session.scalar(same) == 1


@pytest.mark.usefixtures("stack")
def test_a_file_that_the_source_has_already_gets_a_differing_label_only() -> None:
    image = png()
    (known,) = label(kept_prediction(image), "cat")
    adopt_all()
    media_id = adopted([known])[known]
    same, other = label(kept_prediction(image), "cat", "dog")
    adopt_all()
    assert adopted([same, other]) == {same: media_id, other: media_id}
    assert labels_of(media_id) == ["cat", "dog"]


@pytest.mark.usefixtures("stack")
def test_a_label_that_comes_late_does_not_undo_a_newer_one() -> None:
    """Its prediction was still in the queue when the newer label was adopted."""
    image, late = png(), uuid4()
    with Catalog().begin() as session:
        old = AnnotationRow(prediction_id=late, payload={"label": "old"}, origin="test")
        session.add(old)
        session.flush()
    (newer,) = label(kept_prediction(image), "newer")
    adopt_all()
    kept_prediction(image, prediction_id=late)
    adopt_all()
    media = adopted([old.annotation_id, newer])
    assert media[old.annotation_id] == media[newer]
    assert labels_of(media[newer]) == ["newer"]


@pytest.mark.usefixtures("stack")
def test_an_image_that_cannot_be_read_is_skipped_and_tried_again() -> None:
    lost, whole = kept_prediction(None), kept_prediction(png())
    broken = kept_prediction(b"no image")
    unkept = kept_prediction(None, image_key=None)
    (of_lost,), (of_broken,), (of_unkept,) = (label(row, "x") for row in (lost, broken, unkept))
    (of_whole,) = label(whole, "x")
    adopt_all()
    assert adopted([of_lost, of_broken, of_unkept, of_whole]).keys() == {of_whole}
    assert lost.image_key is not None
    ObjectStore().put(lost.image_key, png())
    adopt_all()
    assert adopted([of_lost, of_broken, of_unkept]).keys() == {of_lost}


@pytest.mark.usefixtures("stack")
def test_the_error_stream_is_that_of_the_newest_release_by_newest_labels() -> None:
    model = f"streamed-{uuid4().hex[:8]}"
    moment = datetime.now(UTC)

    def release(version: int, released_at: datetime) -> Release:
        row = Release(
            model_name=model,
            model_version=version,
            snapshot_id="snapshot-1",
            manifest_sha256="0" * 64,
            released_at=released_at,
        )
        with Catalog().begin() as session:
            session.add(row)
        return row

    def predicted(after_s: float, version: int = 2, role: Role = Role.CHAMPION) -> PredictionRow:
        return kept_prediction(
            None,
            image_key=None,
            model_name=model,
            model_version=version,
            predicted_at=moment + timedelta(seconds=after_s),
            role=role.value,
            quality=[0.1, 0.2, 0.3, 0.4],
        )

    release(1, moment - timedelta(days=1))
    newest = release(2, moment - timedelta(seconds=1))
    right, wrong, corrected, unlabelled = (predicted(i) for i in range(4))
    label(predicted(0, version=1), "wrong, but of the release before")
    label(predicted(-60, role=Role.CANARY), "wrong, but before the release")
    label(predicted(9, role=Role.SHADOW), "wrong, but nobody got it")
    label(corrected, "b")
    label(right, "a")
    label(wrong, "b")
    label(corrected, "a")
    with Catalog().begin() as session:
        assert newest.release_id in {r.release_id for r in monitored_releases(session)}
        assert {r.model_version for r in monitored_releases(session) if r.model_name == model} == {
            2
        }
        errors = error_stream(session, newest, "classification")
        seen = newest_observations(session, newest, limit=3)
        embeddings = embeddings_of(session, [unlabelled.prediction_id], 2)
    assert errors.dtype == np.bool_
    assert errors.tolist() == [False, True, False]
    assert [one.prediction_id for one in seen] == [
        row.prediction_id for row in (wrong, corrected, unlabelled)
    ]
    assert [one.truth for one in seen] == ["b", "a", None]
    assert seen[-1].labelled_at is None
    assert {(one.answered, one.confidence, one.quality) for one in seen} == {
        ("a", 0.75, (0.1, 0.2, 0.3, 0.4))
    }
    assert embeddings.tolist() == [[1.0, 2.0]]
