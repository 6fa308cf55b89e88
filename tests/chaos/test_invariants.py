"""Each invariant holds of a good record, and fails on one that was doctored."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tests.chaos.invariants import Harm, check_all
from tests.chaos.records import Acknowledged, ConsumedRow, FrameRow, MediaRow, State
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.contracts import MediaStatus

GOOD, BAD, UNDER_WAY = UUID(int=1), UUID(int=2), UUID(int=3)
GOOD_EVENT, BAD_EVENT = event_id_of(GOOD, 1), event_id_of(BAD, 1)
PLACE, NEXT_PLACE = ("media", 0, 0), ("media", 0, 1)
ANSWERS = (
    Acknowledged(GOOD, "camera", "aa", 10.0, is_decodable=True, idempotency_key="k", answer="a"),
    Acknowledged(GOOD, "camera", "aa", 11.0, is_decodable=True, idempotency_key="k", answer="a"),
    Acknowledged(BAD, "camera", "bb", 12.0, is_decodable=False),
)
GOOD_ROW = MediaRow(GOOD, MediaStatus.PROCESSED, "camera", "aa", "media/1", 1, 20.0)
BAD_ROW = MediaRow(BAD, MediaStatus.QUARANTINED, "camera", "bb", "media/2", 1, 20.0)
FRAME = FrameRow(GOOD, "pp", decodes=True)
STATE = State(
    media=(GOOD_ROW, BAD_ROW),
    consumed=(ConsumedRow(GOOD_EVENT, GOOD, PLACE), ConsumedRow(BAD_EVENT, BAD, NEXT_PLACE)),
    frames=(FRAME,),
    published_events=frozenset({GOOD_EVENT, BAD_EVENT}),
    queued_events=((PLACE, GOOD_EVENT), (NEXT_PLACE, BAD_EVENT)),
    sha256_by_key=(("media/1", "aa"), ("media/2", "bb")),
    part_keys=(f"uploads/{UNDER_WAY}/part",),
    open_uploads=frozenset({UNDER_WAY}),
)


def test_a_good_record_violates_nothing() -> None:
    assert check_all(ANSWERS, STATE) == []


def test_an_event_that_lies_in_the_queue_twice_does_no_harm() -> None:
    twice = (*STATE.queued_events, (("media", 0, 2), GOOD_EVENT))
    assert check_all(ANSWERS, replace(STATE, queued_events=twice)) == []


def test_a_file_announced_again_is_taken_again() -> None:
    again = event_id_of(GOOD, 2)
    place = ("media", 0, 2)
    state = replace(
        STATE,
        media=(replace(GOOD_ROW, announcement=2), BAD_ROW),
        consumed=(*STATE.consumed, ConsumedRow(again, GOOD, place)),
        queued_events=(*STATE.queued_events, (place, again)),
    )
    assert check_all(ANSWERS, state) == []


def with_good_row(**changes: object) -> State:
    return replace(STATE, media=(replace(GOOD_ROW, **changes), BAD_ROW))  # type: ignore[arg-type]


def with_event(event: ConsumedRow, place: tuple[str, int, int]) -> State:
    return replace(
        STATE,
        consumed=(*STATE.consumed, event),
        queued_events=(*STATE.queued_events, (place, event.event_id)),
    )


STRAY, THIRD_PLACE = UUID(int=9), ("media", 0, 2)
DOCTORED = {
    "no row": (replace(STATE, media=(BAD_ROW,)), Harm.LOST, str(GOOD)),
    "never taken": (with_good_row(status=MediaStatus.STORED), Harm.LOST, str(GOOD)),
    "never processed": (with_good_row(status=MediaStatus.QUEUED), Harm.LOST, str(GOOD)),
    "quarantined": (with_good_row(status=MediaStatus.QUARANTINED), Harm.LOST, str(GOOD)),
    "other bytes": (with_good_row(sha256="cc"), Harm.LOST, str(GOOD)),
    "no object": (
        replace(STATE, sha256_by_key=STATE.sha256_by_key[1:]),
        Harm.LOST,
        str(GOOD),
    ),
    "torn object": (
        replace(STATE, sha256_by_key=(("media/1", "a"), ("media/2", "bb"))),
        Harm.LOST,
        str(GOOD),
    ),
    "no frame": (replace(STATE, frames=()), Harm.LOST, str(GOOD)),
    "torn frame": (replace(STATE, frames=(replace(FRAME, decodes=False),)), Harm.LOST, str(GOOD)),
    "frame of a bad file": (
        replace(STATE, frames=(FRAME, replace(FRAME, media_id=BAD))),
        Harm.LOST,
        str(BAD),
    ),
    "two frames": (replace(STATE, frames=(FRAME, FRAME)), Harm.DOUBLED, str(GOOD)),
    "two rows": (
        replace(STATE, media=(GOOD_ROW, BAD_ROW, replace(GOOD_ROW, media_id=STRAY))),
        Harm.DOUBLED,
        "camera aa",
    ),
    "taken twice": (
        with_event(ConsumedRow(STRAY, GOOD, THIRD_PLACE), THIRD_PLACE),
        Harm.DOUBLED,
        str(GOOD),
    ),
    "not taken": (replace(STATE, consumed=STATE.consumed[1:]), Harm.LOST, str(GOOD)),
    "taken from elsewhere": (
        replace(STATE, consumed=(replace(STATE.consumed[0], place=NEXT_PLACE), STATE.consumed[1])),
        Harm.LOST,
        str(GOOD_EVENT),
    ),
    "owed": (replace(STATE, owed_events=frozenset({GOOD_EVENT})), Harm.LOST, str(GOOD_EVENT)),
    "gone from the queue": (
        replace(STATE, queued_events=STATE.queued_events[1:]),
        Harm.LOST,
        str(GOOD_EVENT),
    ),
    "dead letter": (replace(STATE, dead_letters=1), Harm.WRONG, "dead letters"),
    "object without a row": (
        replace(STATE, sha256_by_key=(*STATE.sha256_by_key, ("media/9", "dd"))),
        Harm.ORPHANED,
        "media/9",
    ),
    "intent": (
        replace(
            STATE,
            media=(*STATE.media, MediaRow(STRAY, MediaStatus.RECEIVING, "", None, "m", 1, None)),
        ),
        Harm.ORPHANED,
        str(STRAY),
    ),
    "part without an upload": (
        replace(STATE, open_uploads=frozenset()),
        Harm.ORPHANED,
        f"uploads/{UNDER_WAY}/part",
    ),
}


@pytest.mark.parametrize(("state", "harm", "subject"), DOCTORED.values(), ids=DOCTORED)
def test_a_doctored_state_is_found(state: State, harm: Harm, subject: str) -> None:
    assert (harm, subject) in {(v.harm, v.subject) for v in check_all(ANSWERS, state)}


def test_equal_bytes_must_be_acknowledged_as_one_file() -> None:
    other = replace(ANSWERS[0], media_id=uuid4(), idempotency_key=None)
    found = check_all([*ANSWERS, other], STATE)
    assert (Harm.DOUBLED, "camera aa") in {(v.harm, v.subject) for v in found}


def test_a_key_must_have_one_answer() -> None:
    found = check_all([*ANSWERS, replace(ANSWERS[1], answer="b")], STATE)
    assert [(v.harm, v.subject) for v in found] == [(Harm.DOUBLED, "k")]
