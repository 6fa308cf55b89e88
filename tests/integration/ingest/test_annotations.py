"""Annotations: for one model, of a part of a video, said once, and taken back."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.declared import declaration
from tests.integration.ingest.content import png
from tests.integration.ingest.sending import Client
from tests.integration.ingest.test_labels import SPEC, file_with_a_frame, prediction
from visionops_assets.catalog.annotation_lists import counting_annotations
from visionops_assets.catalog.annotations import (
    Place,
    annotate,
    annotations_of,
    known_classes,
    model_of,
    take_back,
)
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.contradictions import contradictions, settle_frames
from visionops_assets.catalog.datasets import count_by_label, label_backlog, labelled_frames, now
from visionops_assets.catalog.schema import AdoptedLabel, AnnotationRow, Frame, Media, Snapshot
from visionops_assets.models import ModelDeclaration, default_model

ONE = declaration("one", frames={"size_px": 21})
OTHER = declaration("other", frames={"size_px": 21})
CAT, DOG, COW = ({"label": name} for name in ("cat", "dog", "cow"))


def labels(session: Session, model: ModelDeclaration) -> list[tuple[float, str]]:
    rows = labelled_frames(session, model, now(session))
    times = {frame.frame_id: frame.time_s for frame in session.scalars(select(Frame))}
    assert count_by_label(session, model) == {
        label: [row["label"] for row in rows].count(label) for label in {r["label"] for r in rows}
    }
    assert label_backlog(session, model).new_frames == len(rows)
    return [(times[row["frame_id"]], row["label"]) for row in rows]


def more_frames(session: Session, media_id: UUID, *times_s: float) -> None:
    first = session.scalars(select(Frame).where(Frame.media_id == media_id)).one()
    for number, time_s in enumerate(times_s, 1):
        session.add(
            Frame(
                frame_id=uuid4(),
                media_id=media_id,
                spec_id=SPEC,
                frame_index=number,
                time_s=time_s,
                perceptual_hash=16 * "0",
                shard_key=first.shard_key,
                shard_offset=0,
                frame_bytes=1,
                batch_key=first.batch_key,
                created_at=first.created_at,
            )
        )
    session.flush()


def test_a_model_learns_what_was_said_for_it_or_for_all(session: Session) -> None:
    media_id = file_with_a_frame(session)
    session.add(AnnotationRow(media_id=media_id, payload=CAT, origin="upload"))
    session.flush()
    assert labels(session, ONE) == labels(session, OTHER) == [(0, "cat")]
    annotate(session, Place("one", media_id), DOG, "ann")
    assert (labels(session, ONE), labels(session, OTHER)) == ([(0, "dog")], [(0, "cat")])
    session.add(AnnotationRow(media_id=media_id, payload={"labels": ["cat"]}, origin="upload"))
    session.flush()
    assert (labels(session, ONE), labels(session, OTHER)) == ([(0, "dog")], [(0, "cat")])


def test_a_part_of_a_video_has_a_label_of_its_own(session: Session) -> None:
    media_id = file_with_a_frame(session)
    more_frames(session, media_id, 1.0, 2.0, 3.0)
    annotate(session, Place("one", media_id), CAT, "ann")
    annotate(session, Place("one", media_id, None, 1.0, 3.0), DOG, "ann")
    assert labels(session, ONE) == [(0, "cat"), (1, "dog"), (2, "dog"), (3, "cat")]
    assert labels(session, OTHER) == []
    take_back(session, Place("one", media_id), "ann")
    assert labels(session, ONE) == [(1, "dog"), (2, "dog")]
    annotate(session, Place("one", media_id), COW, "ann")
    assert labels(session, ONE) == [(time_s, "cow") for time_s in (0, 1, 2, 3)]


def test_of_labels_that_contradict_each_other_the_most_trusted_then_the_newest_counts(
    session: Session,
) -> None:
    one, copy, agreed = (file_with_a_frame(session, source) for source in ("test", "copy", "test"))
    content = session.scalars(select(Media.sha256).where(Media.media_id == one)).one()
    session.get_one(Media, copy).sha256 = content
    for media_id in (one, copy, agreed):
        annotate(session, Place("one", media_id), CAT, "ann")
    annotate(session, Place("one", agreed), CAT, "ben")
    assert settled(session) == {one: ("cat", ""), copy: ("cat", ""), agreed: ("cat", "")}
    assert contradictions(session, ONE, now(session)) == []

    annotate(session, Place("one", copy), DOG, "ben")
    said = "cat (ann); cat (ann)"
    assert settled(session) == {one: ("dog", said), copy: ("dog", said), agreed: ("cat", "")}
    [found] = contradictions(session, ONE, now(session))
    assert (found.sha256, found.frames, found.counts.label) == (content, 1, "dog")
    assert {word.media_id for word in (found.counts, *found.others)} == {one, copy}

    newest = session.scalars(select(AnnotationRow).where(AnnotationRow.author == "ben")).all()[-1]
    newest.trust = 0.5
    session.flush()
    said = "dog (ben, trust 0.5)"
    assert settled(session) == {one: ("cat", said), copy: ("cat", said), agreed: ("cat", "")}
    assert contradictions(session, OTHER, now(session)) == []
    # An export says what a snapshot settles on.
    assert exported(session, one, copy, agreed) == {one: "cat", copy: "cat", agreed: "cat"}
    newest.trust = 1.0
    session.flush()
    assert exported(session, one, copy, agreed) == {one: "dog", copy: "dog", agreed: "cat"}
    take_back(session, Place("one", copy), "ben")
    assert settled(session) == {one: ("cat", ""), agreed: ("cat", "")}
    assert exported(session, one, copy, agreed) == {one: "cat", agreed: "cat"}


def exported(session: Session, *of: UUID) -> dict[UUID, str]:
    found, _ = counting_annotations(session, ONE, files=10**6)
    said = [(each.media_id, each.payload["label"]) for each in found if each.media_id in of]
    assert len(said) == len(dict(said))
    return dict(said)


def settled(session: Session) -> dict[UUID, tuple[str, str]]:
    rows = labelled_frames(session, ONE, now(session))
    settle_frames(session, ONE, now(session), rows)
    return {row["media_id"]: (row["label"], row["contradicted_by"]) for row in rows}


def test_what_was_taken_back_of_a_frame_is_news_for_its_model_alone(session: Session) -> None:
    media_id = file_with_a_frame(session)
    before = datetime.now(UTC) - timedelta(seconds=30)
    for name in ("one", "other"):
        said = {"payload": CAT, "origin": "t", "created_at": before, "model_name": name}
        session.add(AnnotationRow(media_id=media_id, **said))
        session.add(
            Snapshot(
                snapshot_id=f"ds-{name}",
                model_name=name,
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
    take_back(session, Place("one", media_id), "ann")
    assert label_backlog(session, ONE).new_frames == 1
    assert label_backlog(session, OTHER).new_frames == 0
    assert known_classes(session, "other") == {"cat"}
    assert known_classes(session, "third") == set()


@pytest.mark.parametrize("of_media", [True, False])
def test_the_same_twice_is_one_unless_something_else_was_said_since(
    session: Session, of_media: bool
) -> None:
    target: dict[str, Any] = (
        {"media_id": file_with_a_frame(session)} if of_media else {"prediction_id": uuid4()}
    )
    place = Place("one", **target)
    first = annotate(session, place, CAT, "ann")
    assert annotate(session, place, CAT, "ann") is first
    assert annotate(session, place, CAT, "bob") is not first
    between = annotate(session, place, DOG, "ann")
    again = annotate(session, place, CAT, "ann")
    assert [row.annotation_id for row in annotations_of(session, **target)][:2] == [
        again.annotation_id,
        between.annotation_id,
    ]
    assert take_back(session, place, "ann") == 4
    assert take_back(session, place, "ann") == 0
    assert annotations_of(session, **target) == []
    assert annotate(session, place, CAT, "ann") is not again


def test_a_part_that_was_said_before_the_whole_is_said_again(session: Session) -> None:
    media_id = file_with_a_frame(session)
    part = Place("one", media_id, None, 1.0, 2.0)
    elsewhere = Place("one", media_id, None, 2.0, 3.0)
    first = annotate(session, part, CAT, "ann")
    annotate(session, elsewhere, DOG, "ann")
    assert annotate(session, part, CAT, "ann") is first
    annotate(session, Place("one", media_id), DOG, "ann")
    assert annotate(session, part, CAT, "ann") is not first


def test_media_of_a_prediction_lose_what_was_taken_back_of_it(session: Session) -> None:
    key, media_id = uuid4(), file_with_a_frame(session, "feedback")
    session.add(prediction(key, "one", "s", datetime.now(UTC), 0))
    assert model_of(session, key) == "one"
    place = Place("one", prediction_id=key)
    # In answer to a draw, the same word is an annotation of its own.
    twice = [annotate(session, place, CAT, "ann", origin) for origin in ("volunteered", "audit")]
    said = {"media_id": media_id, "model_name": "one", "origin": "feedback"}
    session.add(AnnotationRow(**said, payload=CAT, author="ann"))
    session.add(AnnotationRow(**said, payload=CAT, author="bob"))
    for given in twice:
        session.add(AdoptedLabel(label_id=given.annotation_id, media_id=media_id))
    session.flush()
    assert take_back(session, place, "eve") == 2
    assert [row.author for row in annotations_of(session, media_id=media_id)] == ["bob"]


def path_of(media_id: object) -> str:
    return f"/v1/media/{media_id}/annotation"


def test_a_stored_file_is_labelled_and_the_label_is_taken_back(
    client: Client, labeller: Client
) -> None:
    media_id = client.upload(png(), label="cat").json()["media_id"]
    path = path_of(media_id)
    given = labeller.request("PUT", path, json=DOG)
    assert given.status_code == 200
    model = default_model().name
    answer = given.json()
    assert (answer["annotation"], answer["model"], answer["start_s"]) == (DOG, model, None)
    assert labeller.request("PUT", path, json=DOG).json() == answer
    assert client.request("GET", f"/v1/media/{media_id}").json()["label"] == "dog"
    listed = labeller.request("GET", path).json()["annotations"]
    assert [each["annotation"] for each in listed] == [DOG, CAT]
    assert [each["origin"] for each in listed] == ["annotation", "upload"]
    taken_back = labeller.request("PUT", path, json=None, headers={"content-type": "text/json"})
    assert (taken_back.status_code, taken_back.content) == (422, taken_back.content)
    taken_back = labeller.request("PUT", path, content=b"null")
    assert (taken_back.status_code, taken_back.content) == (204, b"")
    assert labeller.request("GET", path).json() == {"annotations": []}
    assert labeller.request("DELETE", path).status_code == 204
    with Catalog().begin() as session:
        rows = select(func.count()).where(AnnotationRow.media_id == UUID(media_id))
        assert session.scalar(rows) == 4


@pytest.mark.parametrize(
    ("params", "body", "status", "code", "said"),
    [
        ({"model": "none"}, CAT, 422, "unknown_model", "model: no model 'none' is declared"),
        ({}, {"labels": ["cat"]}, 422, "invalid_request", "label: Field required"),
        ({}, {"label": "a\0"}, 422, "invalid_request", "label: must not contain NUL"),
        ({}, ["cat"], 422, "invalid_request", "An annotation is a JSON object."),
        ({"start_s": 2, "end_s": 2}, CAT, 422, "invalid_request", "end_s: must be later"),
        ({"start_s": 2}, CAT, 422, "invalid_request", "give both of them, or none"),
        ({"start_s": -1, "end_s": 2}, CAT, 422, "invalid_request", "start_s: "),
        ({"start_s": 1, "end_s": 2}, CAT, 422, "invalid_request", "an image has no parts"),
    ],
)
def test_a_wrong_annotation_is_refused(
    client: Client,
    labeller: Client,
    params: dict[str, Any],
    body: object,
    status: int,
    code: str,
    said: str,
) -> None:
    media_id = client.upload(png()).json()["media_id"]
    answer = labeller.request("PUT", path_of(media_id), params=params, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert said in answer.json()["detail"]
    assert labeller.request("GET", path_of(media_id)).json() == {"annotations": []}


def test_what_is_unknown_is_not_found_and_what_is_no_json_is_refused(
    client: Client, labeller: Client
) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = labeller.request(method, path_of(uuid4()), json=CAT)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    media_id = client.upload(png()).json()["media_id"]
    answer = labeller.request("PUT", path_of(media_id), content=b"{nan")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    answer = client.request("PUT", path_of(media_id), json=CAT)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_an_upload_may_name_the_model_that_its_label_is_for(
    client: Client, labeller: Client
) -> None:
    data, model = png(), default_model().name
    first = client.upload(data, label="cat", model=model)
    assert client.upload(data, label="cat").json()["media_id"] == first.json()["media_id"]
    listed = labeller.request("GET", path_of(first.json()["media_id"])).json()["annotations"]
    assert [each["model"] for each in listed] == [None, model]
    refused = client.upload(png(), label="cat", model="none")
    assert refused.status_code == 422
    assert "model: no model 'none' is declared" in refused.json()["detail"]


def test_a_class_that_the_model_does_not_have_is_told(client: Client, labeller: Client) -> None:
    media_id = client.upload(png()).json()["media_id"]
    model = default_model()
    snapshot_id = uuid4().hex
    with Catalog().begin() as session:
        session.add(
            Snapshot(
                snapshot_id=snapshot_id,
                model_name=model.name,
                watermark=datetime.now(UTC),
                spec_id=SPEC,
                spec={},
                classes=["cat", "dog"],
                train_frames=1,
                holdout_frames=0,
                object_prefix="x",
            )
        )
    try:
        refused = labeller.request("PUT", path_of(media_id), json={"label": "cta"})
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_class")
        assert "has no class 'cta'. It has: cat, dog." in refused.json()["detail"]
        assert labeller.request("PUT", path_of(media_id), json=CAT).status_code == 200
        new = {"new_classes": "true"}
        answer = labeller.request("PUT", path_of(media_id), params=new, json={"label": "cta"})
        assert answer.status_code == 200
    finally:
        with Catalog().begin() as session:
            session.delete(session.get(Snapshot, snapshot_id))
