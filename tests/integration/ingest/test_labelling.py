"""Labelling batches on the real PostgreSQL: their purposes, and claims of their items."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from tests.declared import declaration
from tests.integration.ingest.test_labels import SPEC, file_with_a_frame, prediction
from tests.integration.media_rows import store
from visionops_assets.catalog import labels
from visionops_assets.catalog.annotation_batches import annotate_many
from visionops_assets.catalog.annotations import Place, annotate, take_back
from visionops_assets.catalog.asked import origin_of
from visionops_assets.catalog.claims import (
    ClaimOfAnotherError,
    NothingToClaimError,
    claim,
    claims_of,
    give_up,
)
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.contradictions import ask_about, settle_frames
from visionops_assets.catalog.datasets import labelled_frames, now
from visionops_assets.catalog.labelling import Subject, batch_of, batches, close_batches, open_batch
from visionops_assets.catalog.labelling_items import batch_items
from visionops_assets.catalog.performance import labelled_answers, volunteered_answers
from visionops_assets.catalog.schema import (
    AnnotationRow,
    LabellingItem,
    Media,
    Release,
    Snapshot,
)
from visionops_assets.contracts import Purpose
from visionops_assets.errors import NotFoundError
from visionops_assets.settings import Settings

HOUR = timedelta(hours=1)
CAT, DOG = {"label": "cat"}, {"label": "dog"}
TRAINING_ALONE = (Purpose.SELECTION, Purpose.CONFLICTS)
JUDGING = (Purpose.AUDIT, Purpose.HOLDOUT)


@pytest.fixture
def model() -> str:
    return uuid4().hex


def selection(session: Session, model: str, count: int = 2) -> tuple[int, list[UUID]]:
    """Open a batch that asks for labels of new files; return it and the files."""
    files = [file_with_a_frame(session) for _ in range(count)]
    batch = open_batch(session, model, Purpose.SELECTION, media=files)
    assert batch is not None
    return batch.batch_id, files


def let_pass(session: Session, item_id: int) -> None:
    """Let the time of a claim be over."""
    session.get_one(LabellingItem, item_id).claimed_until = datetime.now(UTC) - HOUR
    session.flush()


def answered(session: Session, model: str, count: int) -> list[UUID]:
    """Let version 1 of a model that serves have made predictions."""
    at = datetime.now(UTC) - HOUR
    session.add(
        Release(
            model_name=model,
            model_version=1,
            snapshot_id=model,
            manifest_sha256="",
            released_at=at,
        )
    )
    session.add(
        Snapshot(
            snapshot_id=model,
            model_name=model,
            watermark=at,
            spec_id=SPEC,
            spec={},
            classes=["cat", "dog"],
            train_frames=1,
            holdout_frames=0,
            object_prefix="x",
        )
    )
    keys = [uuid4() for _ in range(count)]
    for offset, key in enumerate(keys):
        session.add(prediction(key, model, model, at + timedelta(minutes=1), offset))
    session.flush()
    return keys


def test_each_item_is_claimed_once_and_in_its_order(session: Session, model: str) -> None:
    batch_id, files = selection(session, model, 5)
    first = claim(session, batch_id, "ann", 2, HOUR)
    second = claim(session, batch_id, "ben", 2, HOUR)
    third = claim(session, batch_id, "ann", 2, HOUR)
    assert [one.media_id for one in (*first, *second, *third)] == files
    assert [one.media_id for one in claims_of(session, batch_id, "ann")] == [*files[:2], files[4]]
    with pytest.raises(NothingToClaimError, match="0 of 5 items are labelled"):
        claim(session, batch_id, "cid", 1, HOUR)


def test_a_claim_ends_with_its_time_and_comes_after_what_nobody_had(
    session: Session, model: str
) -> None:
    batch_id, files = selection(session, model, 3)
    (over,) = claim(session, batch_id, "ann", 1, HOUR)
    let_pass(session, over.item_id)
    assert over.media_id == files[0]
    assert claims_of(session, batch_id, "ann") == []
    (second,) = claim(session, batch_id, "ben", 1, HOUR)
    give_up(session, batch_id, second.item_id, "ben")
    order = [claim(session, batch_id, "cid", 1, HOUR)[0].media_id for _ in files]
    assert order == [files[2], files[0], files[1]]


def test_only_the_own_claim_is_given_up(session: Session, model: str) -> None:
    batch_id, _ = selection(session, model, 1)
    (mine,) = claim(session, batch_id, "ann", 1, HOUR)
    with pytest.raises(ClaimOfAnotherError, match="by another key until"):
        give_up(session, batch_id, mine.item_id, "ben")
    give_up(session, batch_id, mine.item_id, "ann")
    give_up(session, batch_id, mine.item_id, "ben")
    other_id, _ = selection(session, model, 1)
    for unknown in ((batch_id, -1), (other_id, mine.item_id)):
        with pytest.raises(NotFoundError, match="has no item"):
            give_up(session, *unknown, "ann")
    with pytest.raises(NotFoundError, match="no labelling batch -7"):
        claim(session, -7, "ann", 1, HOUR)
    with pytest.raises(NotFoundError, match="no labelling batch -7"):
        claims_of(session, -7, "ann")


def test_to_answer_ends_a_claim_and_to_take_back_asks_again(session: Session, model: str) -> None:
    batch_id, files = selection(session, model, 1)
    (mine,) = claim(session, batch_id, "ann", 1, HOUR)
    annotate(session, Place(model, files[0]), CAT, "ann")
    assert batch_of(session, batch_id).labelled == 1
    assert claims_of(session, batch_id, "ann") == []
    let_pass(session, mine.item_id)
    with pytest.raises(NothingToClaimError, match="1 of 1"):
        claim(session, batch_id, "ben", 1, HOUR)
    (item,) = batch_items(session, batch_id)
    assert (item.item_id, item.media_id, item.label) == (mine.item_id, files[0], "cat")
    take_back(session, Place(model, files[0]), "ann")
    assert len(claim(session, batch_id, "ben", 1, HOUR)) == 1


def test_claims_at_once_never_get_the_same_item(ingest: Settings, model: str) -> None:
    """Twelve threads, each with a transaction of its own, until nothing is left."""
    files = [store(uuid4().bytes, announced=False).media_id for _ in range(60)]
    with Catalog().begin() as session:
        batch = open_batch(session, model, Purpose.SELECTION, media=files)
        assert batch is not None
        batch_id = batch.batch_id

    def work(number: int) -> list[UUID | None]:
        got: list[UUID | None] = []
        while True:
            try:
                with Catalog().begin() as session:
                    claimed = claim(session, batch_id, f"key-{number}", 3, HOUR)
            except NothingToClaimError:
                return got
            got += [one.media_id for one in claimed]

    with ThreadPoolExecutor(12) as pool:
        by_each = list(pool.map(work, range(12)))
    assert sum(map(bool, by_each)) > 1
    given = [media_id for got in by_each for media_id in got]
    # A thread that finds all rows locked gives up, and the last one takes what is left.
    assert len(given) == len(set(given)) == 60
    with Catalog().begin() as session:
        close_batches(session, model, 0)


def test_nothing_is_asked_twice_while_its_batch_is_open(session: Session, model: str) -> None:
    batch_id, files = selection(session, model)
    assert open_batch(session, model, Purpose.SELECTION, media=[*files, files[0]]) is None
    part = Subject(media_id=files[0], start_s=1.0, end_s=2.0)
    of_part = open_batch(session, model, Purpose.SELECTION, media=[part, files[1], part])
    assert of_part is not None
    assert [item.start_s for item in batch_items(session, of_part.batch_id)] == [1.0]
    others = (
        open_batch(session, model, Purpose.CONFLICTS, media=files),
        open_batch(session, uuid4().hex, Purpose.SELECTION, media=files),
    )
    assert all(others)
    assert set(close_batches(session, model, -1)) >= {batch_id, of_part.batch_id}
    assert open_batch(session, model, Purpose.SELECTION, media=files) is not None


def test_a_part_of_a_video_is_answered_by_words_about_it(session: Session, model: str) -> None:
    video = file_with_a_frame(session)
    part = Subject(media_id=video, start_s=1.0, end_s=2.0)
    batch = open_batch(session, model, Purpose.SELECTION, media=[part])
    assert batch is not None
    annotate(session, Place(model, video, None, 2.0, 3.0), CAT, "ann")
    annotate(session, Place("another", video, None, 1.0, 2.0), CAT, "ann")
    assert batch_of(session, batch.batch_id).labelled == 0
    annotate(session, Place(model, video, None, 1.5, 3.0), DOG, "ann")
    assert batch_of(session, batch.batch_id).labelled == 1


@pytest.mark.parametrize("purpose", Purpose)
def test_words_of_before_answer_no_question_about_a_file(
    session: Session, model: str, purpose: Purpose
) -> None:
    file = file_with_a_frame(session)
    before = datetime.now(UTC) - HOUR
    session.add(AnnotationRow(media_id=file, payload=CAT, origin="upload", created_at=before))
    batch = open_batch(session, model, purpose, media=[file])
    assert batch is not None
    assert batch_of(session, batch.batch_id).labelled == 0


@pytest.mark.parametrize("purpose", Purpose)
def test_the_origin_of_the_label_of_a_file_is_the_purpose_that_it_was_chosen_for(
    session: Session, model: str, purpose: Purpose
) -> None:
    file, many, closed, free = (file_with_a_frame(session) for _ in range(4))
    batch = open_batch(session, model, purpose, media=[file, many, closed])
    assert batch is not None
    origin = purpose.value if purpose in TRAINING_ALONE else "annotation"
    assert annotate(session, Place(model, file), CAT, "ann").origin == origin
    assert annotate(session, Place("another", file), CAT, "ann").origin == "annotation"
    assert annotate(session, Place(model, free), CAT, "ann").origin == "annotation"
    assert annotate_many(session, model, {many: [(None, None, CAT)]}, "ann") == 1
    assert [item.label for item in batch_items(session, batch.batch_id)][1:] == ["cat", "cat"]
    close_batches(session, model, -1)
    # Who corrects the label of a file that was chosen did not draw it either.
    assert annotate(session, Place(model, file), DOG, "ben").origin == origin
    assert annotate(session, Place(model, closed), DOG, "ben").origin == "annotation"


def test_a_late_answer_to_a_claim_has_its_purpose(session: Session, model: str) -> None:
    batch_id, files = selection(session, model)
    claim(session, batch_id, "ann", 2, HOUR)
    close_batches(session, model, -1)
    with pytest.raises(NothingToClaimError, match="closed"):
        claim(session, batch_id, "ben", 1, HOUR)
    assert annotate(session, Place(model, files[0]), CAT, "ann").origin == "selection"
    assert annotate(session, Place(model, files[1]), CAT, "ben").origin == "annotation"


def test_what_is_said_again_in_a_batch_is_news(session: Session, model: str) -> None:
    file = file_with_a_frame(session)
    before = annotate(session, Place(model, file), CAT, "ann")
    open_batch(session, model, Purpose.CONFLICTS, media=[file])
    assert annotate_many(session, model, {file: [(None, None, CAT)]}, "ben") == 1
    assert annotate_many(session, model, {file: [(None, None, CAT)]}, "ben") == 0
    again = annotate(session, Place(model, file), CAT, "ann")
    assert (before.origin, again.origin) == ("annotation", "conflicts")
    assert annotate(session, Place(model, file), CAT, "ann") is again


@pytest.mark.parametrize("purpose", Purpose)
def test_answers_about_predictions_count_only_where_they_were_drawn(
    session: Session, model: str, purpose: Purpose
) -> None:
    key, other = answered(session, model, 2)
    batch = open_batch(session, model, purpose, predictions=[key], model_version=1)
    assert batch is not None
    for prediction_id, payload in ((key, CAT), (other, DOG)):
        origin = origin_of(session, prediction_id, 1e-9, answers_draw=True, author="ann")
        labels.add_prediction_label(session, prediction_id, payload, origin, "ann")
    release = session.query(Release).filter_by(model_name=model).one()
    counting = [("cat", "cat")] if purpose in JUDGING else []
    assert labelled_answers(session, release) == counting
    # What was chosen to learn from is no report of a wrong answer.
    assert volunteered_answers(session, release, datetime.now(UTC) - HOUR) == [("cat", "dog")]
    assert batch_of(session, batch.batch_id).labelled == 1
    unsaid = origin_of(session, key, 1e-9, answers_draw=False)
    assert unsaid == (labels.VOLUNTEERED if purpose in JUDGING else purpose.value)
    # The audit share was drawn by chance, whoever chose it besides.
    assert origin_of(session, key, 100, answers_draw=True) == labels.AUDIT


def test_batches_are_listed_by_purpose_and_closed_when_nearly_labelled(
    session: Session, model: str
) -> None:
    batch_id, files = selection(session, model, 10)
    keys = answered(session, model, 2)
    audit = open_batch(session, model, Purpose.AUDIT, predictions=keys, model_version=1)
    assert audit is not None
    for file in files[:8]:
        annotate(session, Place(model, file), CAT, "ann")
    assert close_batches(session, model, 1e9, 1) == []
    (found,) = batches(session, model_name=model, purpose=Purpose.SELECTION)
    assert (found.batch_id, found.labelled, found.items) == (batch_id, 8, 10)
    assert (found.purpose, found.model_version) == (Purpose.SELECTION, None)
    annotate(session, Place(model, files[8]), CAT, "ann")
    assert close_batches(session, model, 1e9, 1) == [batch_id]
    # Another version serves: its answers are not those that were asked about.
    assert close_batches(session, model, 1e9, 2) == [audit.batch_id]
    assert batches(session, model_name=model, only_open=True) == []


def test_a_conflict_is_asked_about_once_and_settled_by_the_answer(session: Session) -> None:
    model = declaration(
        uuid4().hex[:8], frames={"size_px": 21}, labelling={"batch_size": 1}, default=False
    )
    place = partial(Place, model.name)
    image, copy, video = (file_with_a_frame(session, each) for each in ("one", "two", "one"))
    session.get_one(Media, copy).sha256 = session.get_one(Media, image).sha256
    for media_id, payload in ((image, CAT), (copy, DOG)):
        annotate(session, place(media_id), payload, "ann")
    annotate(session, place(video, None, 0.0, 2.0), CAT, "ann")
    later = AnnotationRow(
        media_id=video, start_s=0, end_s=1, payload=DOG, origin="annotation", author="ben"
    )
    later.model_name = model.name
    session.add(later)
    session.flush()

    def ask() -> int | None:
        rows = labelled_frames(session, model, now(session))
        batch = ask_about(session, model, settle_frames(session, model, now(session), rows))
        return batch.batch_id if batch else None

    first, second = ask(), ask()
    assert first is not None
    assert second is not None
    assert ask() is None
    asked = [batch_items(session, each)[0] for each in (first, second)]
    assert [(item.media_id, item.start_s, item.end_s) for item in asked] == [
        (min(image, copy), None, None),
        (video, 0, 1),
    ]
    annotate(session, place(asked[0].media_id), DOG, "cid")
    annotate(session, place(video, None, 0.0, 1.0), DOG, "cid")
    assert set(close_batches(session, model.name, 1e9)) == {first, second}
    assert ask() is None
    rows = labelled_frames(session, model, now(session))
    settle_frames(session, model, now(session), rows)
    origins = {row["origin"] for row in rows}
    assert ([row["contradicted_by"] for row in rows], origins) == ([""] * 3, {"conflicts"})
