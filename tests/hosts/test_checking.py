from collections.abc import Sequence
from uuid import UUID, uuid5

import pytest

from tests.chaos.invariants import Harm
from tests.chaos.records import Acknowledged, MediaRow, State
from tests.hosts.checking import (
    HELD_S,
    announced_twice,
    check_media,
    check_predictions,
    check_requests,
    check_served,
    held_by_triton,
    judge,
)
from tests.hosts.records import HOST, Answered, Attempt, Kill, Seen, Served
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.contracts import MediaStatus

KILL = Kill("ingest", frozenset({"ingest-a"}), 10.0, 10.1)
MEDIA_ID = UUID(int=1)
EVENT_ID = event_id_of(MEDIA_ID, 1)
ANSWER = Acknowledged(MEDIA_ID, "hosts", "abc", 0.0, True, "key", "receipt")


def attempt(
    began_at_s: float, ended_at_s: float, *pods: str, failure: str | None = "503"
) -> Attempt:
    return Attempt("ingest", frozenset(pods), began_at_s, ended_at_s, failure)


@pytest.mark.parametrize(
    ("failed", "is_excused"),
    [
        (attempt(9.0, 10.05, "ingest-a"), True),
        (attempt(10.05, 22.0, "ingest-a"), True),
        (attempt(9.0, 10.05, "ingest-b"), False),
        (attempt(9.0, 10.05, "ingest-a", "ingest-b"), True),
        (attempt(9.0, 9.9, "ingest-a"), False),
        (attempt(10.2, 10.3, "ingest-a"), False),
    ],
    ids=["under way", "sent as it died", "at another", "at one of them", "before", "after"],
)
def test_a_failure_is_excused_if_its_pod_died_meanwhile(failed: Attempt, is_excused: bool) -> None:
    judged = judge([failed, attempt(9.0, 10.05, "ingest-a", failure=None)], [KILL])
    assert (list(judged.in_flight), list(judged.failed)) == (
        ([failed], []) if is_excused else ([], [failed])
    )


def test_a_request_that_failed_without_a_kill_is_told_with_its_evidence() -> None:
    seen = Seen(attempts=[attempt(11.0, 11.5, "ingest-a")], given_up=["no answer"], mixed=2)
    told = [violation.evidence for violation in check_requests(seen, [KILL])]
    assert told == [
        "503: asked ['ingest-a'] for 0.50 s, sent +1.00 s from the kill of ingest",
        "gave up: no answer",
        "2 are not of the version they name",
    ]
    assert not list(check_requests(Seen(attempts=[attempt(9.9, 10.5, "ingest-a")]), [KILL]))


def row(**changes: object) -> MediaRow:
    fields = {
        "media_id": MEDIA_ID,
        "status": MediaStatus.STORED,
        "source": "hosts",
        "sha256": "abc",
        "object_key": "media/1",
        "announcement": 1,
        "processed_at_s": None,
    }
    return MediaRow(**(fields | changes))  # type: ignore[arg-type]


def at_rest(rows: Sequence[MediaRow] = (row(),), **changes: object) -> State:
    fields = {
        "media": tuple(rows),
        "published_events": frozenset({EVENT_ID}),
        "queued_events": ((("media", 0, 0), EVENT_ID),),
        "sha256_by_key": (("media/1", "abc"),),
    }
    return State(**(fields | changes))  # type: ignore[arg-type]


def test_a_run_without_loss_has_no_violations() -> None:
    assert check_media([ANSWER, ANSWER], at_rest()) == []


@pytest.mark.parametrize(
    ("state", "harm"),
    [
        (at_rest([]), Harm.LOST),
        (at_rest([row(status=MediaStatus.RECEIVING)]), Harm.LOST),
        (at_rest([row(sha256="other")]), Harm.LOST),
        (at_rest(queued_events=()), Harm.LOST),
        (at_rest(owed_events=frozenset({EVENT_ID})), Harm.LOST),
        (at_rest(sha256_by_key=(("media/1", "other"),)), Harm.LOST),
        (at_rest([row(), row(media_id=UUID(int=2))]), Harm.DOUBLED),
        (at_rest(sha256_by_key=(("media/1", "abc"), ("media/2", "abc"))), Harm.ORPHANED),
    ],
    ids=[
        "no row",
        "not stored",
        "other bytes",
        "not announced",
        "owed",
        "other object",
        "twice",
        "object of nobody",
    ],
)
def test_what_is_lost_or_doubled_is_found(state: State, harm: Harm) -> None:
    assert harm in {violation.harm for violation in check_media([ANSWER], state)}


def test_a_key_that_was_answered_with_two_ids_is_found() -> None:
    other = Acknowledged(UUID(int=2), "hosts", "abc", 0.0, True, "key", "another receipt")
    assert Harm.DOUBLED in {v.harm for v in check_media([ANSWER, other], at_rest())}


def test_messages_that_say_the_same_are_counted() -> None:
    again = ((("media", 0, 0), EVENT_ID), (("media", 0, 1), EVENT_ID))
    assert announced_twice(at_rest()) == 0
    assert announced_twice(at_rest(queued_events=again)) == 1


def test_only_a_triton_that_died_may_take_predictions_along() -> None:
    def answered(at_s: float) -> Answered:
        return Answered(uuid5(MEDIA_ID, str(at_s)), at_s)

    before, held, after = answered(19.9 - HELD_S), answered(19.9), answered(20.1)
    recorded = answered(30.0)
    everything = [before, held, after, recorded]
    for kind in ("triton", HOST):
        kills = [KILL, Kill(kind, frozenset({"triton-a"}), 19.95, 20.0)]
        assert held_by_triton(everything, {recorded.prediction_id}, kills) == (
            [held],
            [before, after],
        )
    _, lost = held_by_triton(everything, {recorded.prediction_id}, [KILL])
    ids = [recorded.prediction_id] * 2
    harms = [violation.harm for violation in check_predictions(lost, ids)]
    assert harms == [Harm.LOST] * 3 + [Harm.DOUBLED]


@pytest.mark.parametrize(
    "answers",
    [[(2, [0.25, 0.75]), None], [(2, [0.25, 0.75]), (1, [0.25, 0.75])], [(2, [0.1]), (2, [0.2])]],
    ids=["one is silent", "one has another", "they differ"],
)
def test_every_triton_must_serve_the_champion(
    answers: list[tuple[int, list[float]] | None],
) -> None:
    assert len(list(check_served(Served(2, answers)))) == 1
    assert not list(check_served(Served(2, [(2, [0.25, 0.75])] * 2)))
