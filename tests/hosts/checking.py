"""What must hold of a run, and which failures may be: of requests under way at a kill. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from tests.chaos.invariants import (
    Harm,
    Violation,
    answers_agree,
    media_are_unique,
    queue_is_complete,
    rows_have_their_objects,
)
from tests.chaos.records import Acknowledged, State
from tests.hosts.records import HOST, Answered, Attempt, Kill, Seen, Served
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.contracts import MediaStatus

HELD_S = 5.0
"""A Triton that is killed may hold the predictions of so long: it publishes four times a second."""
TRITON = "triton"


@dataclass(frozen=True)
class Judged:
    """Requests that failed: those under way on what was killed, and those that should not have."""

    in_flight: Sequence[Attempt]
    failed: Sequence[Attempt]


def judge(attempts: Iterable[Attempt], kills: Sequence[Kill]) -> Judged:
    """Tell failures apart."""
    failures = [attempt for attempt in attempts if attempt.failure is not None]
    in_flight = [attempt for attempt in failures if was_in_flight(attempt, kills)]
    return Judged(in_flight, [attempt for attempt in failures if attempt not in in_flight])


def was_in_flight(attempt: Attempt, kills: Iterable[Kill]) -> bool:
    """Whether a pod died that had got the request, and had not answered it."""
    return any(
        attempt.pods & kill.pods
        and attempt.began_at_s <= kill.ended_at_s
        and attempt.ended_at_s >= kill.began_at_s
        for kill in kills
    )


def check_media(answers: Sequence[Acknowledged], state: State) -> list[Violation]:
    """Check that uploads are neither lost nor doubled, and are announced."""
    return [
        *acknowledged_are_stored(answers, state),
        *acknowledged_are_announced(answers, state),
        *answers_agree(answers),
        *media_are_unique(state),
        *rows_have_their_objects(state),
        *queue_is_complete(state),
        *nothing_is_left(state),
    ]


def acknowledged_are_stored(answers: Iterable[Acknowledged], state: State) -> Iterator[Violation]:
    """Every acknowledged file has its row, of its bytes."""
    rows = {row.media_id: row for row in state.media}
    for answer in {answer.media_id: answer for answer in answers}.values():
        row = rows.get(answer.media_id)
        found = (row.status, row.sha256) if row else None
        if found != (MediaStatus.STORED, answer.sha256):
            evidence = f"acknowledged {answer.sha256}, but found {found}"
            yield Violation(Harm.LOST, str(answer.media_id), evidence)


def acknowledged_are_announced(
    answers: Iterable[Acknowledged], state: State
) -> Iterator[Violation]:
    """The event of every acknowledged file lies in the queue."""
    queued = {event_id for _, event_id in state.queued_events}
    for media_id in {answer.media_id for answer in answers}:
        if event_id_of(media_id, 1) not in queued:
            yield Violation(Harm.LOST, str(media_id), "acknowledged, but not announced")


def nothing_is_left(state: State) -> Iterator[Violation]:
    """The sweep left no object without a row, and no upload that nobody goes on with."""
    known = {row.object_key for row in state.media}
    for key, _ in state.sha256_by_key:
        if key not in known:
            yield Violation(Harm.ORPHANED, key, "an object without a row")
    for row in state.media:
        if row.status is MediaStatus.RECEIVING:
            yield Violation(Harm.ORPHANED, str(row.media_id), "still receiving")


def announced_twice(state: State) -> int:
    """Count the messages that say again what another one says: consumers drop them."""
    return len(state.queued_events) - len({event_id for _, event_id in state.queued_events})


def held_by_triton(
    answered: Iterable[Answered], recorded: set[UUID], kills: Sequence[Kill]
) -> tuple[list[Answered], list[Answered]]:
    """Return the answers that were not recorded: those a killed Triton held, and those lost."""
    ended_s = [k.ended_at_s for k in kills if k.kind in {TRITON, HOST}]
    missing = [answer for answer in answered if answer.prediction_id not in recorded]
    held = [
        answer
        for answer in missing
        if any(end_s - HELD_S <= answer.answered_at_s <= end_s for end_s in ended_s)
    ]
    return held, [answer for answer in missing if answer not in held]


def check_predictions(lost: Iterable[Answered], recorded: Sequence[UUID]) -> Iterator[Violation]:
    """Every answer is recorded, once, but for what died with a Triton."""
    for answer in lost:
        yield Violation(Harm.LOST, str(answer.prediction_id), "answered, but not recorded")
    for prediction_id, times in Counter(recorded).items():
        if times > 1:
            yield Violation(Harm.DOUBLED, str(prediction_id), f"recorded {times} times")


def check_requests(seen: Seen, kills: Sequence[Kill]) -> Iterator[Violation]:
    """No request failed but those under way at a kill, and no client went without an answer."""
    for attempt in judge(seen.attempts, kills).failed:
        yield Violation(Harm.WRONG, f"a request of {attempt.door}", _described(attempt, kills))
    for text in seen.given_up:
        yield Violation(Harm.WRONG, "a client", f"gave up: {text}")
    if seen.mixed:
        yield Violation(Harm.WRONG, "predictions", f"{seen.mixed} are not of the version they name")


def check_served(served: Served) -> Iterator[Violation]:
    """Every Triton serves the champion, and all say the same."""
    if at_champion(served) != len(served.answers):
        yield Violation(Harm.WRONG, "Triton", f"not every server serves the champion: {served}")
    elif len({tuple(np.round(answer[1], 5)) for answer in served.answers if answer}) != 1:
        yield Violation(Harm.WRONG, "Triton", f"the servers answer differently: {served}")


def at_champion(served: Served) -> int:
    """Count the Tritons that serve the champion."""
    return sum(answer is not None and answer[0] == served.champion for answer in served.answers)


def _described(attempt: Attempt, kills: Sequence[Kill]) -> str:
    """Say when it was sent, seen from the kill before it."""
    before = [kill for kill in kills if kill.began_at_s <= attempt.ended_at_s]
    since = ""
    if before:
        last = max(before, key=lambda kill: kill.began_at_s)
        since = f", sent {attempt.began_at_s - last.began_at_s:+.2f} s from the kill of {last.kind}"
    took_s = attempt.ended_at_s - attempt.began_at_s
    return f"{attempt.failure}: asked {sorted(attempt.pods)} for {took_s:.2f} s{since}"
