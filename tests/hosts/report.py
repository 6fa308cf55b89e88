"""The figures of one run: `build/multi.json`."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from tests.chaos.invariants import Harm, Violation
from tests.chaos.records import State
from tests.chaos.report import percentile
from tests.hosts.checking import announced_twice, at_champion, judge
from tests.hosts.kubelet import Pod
from tests.hosts.records import Answered, Attempt, Kill, Seen, Served

PUBLISHED = "published "


@dataclass(frozen=True)
class Found:
    """What a run came to, before it is counted."""

    began_at_s: float
    seconds: float
    pods: Sequence[Pod]
    kills: Sequence[Kill]
    seen: Seen
    state: State
    recorded: Sequence[UUID]
    held: Sequence[Answered]
    longest_announcement_s: float
    transactions_s: Sequence[float | None]
    releases: int
    releases_s: Sequence[float]
    rollbacks_s: Sequence[float]
    added_after_s: Sequence[float]
    releases_refused: Sequence[str]
    served: Sequence[Served]


@dataclass(frozen=True)
class Report:
    """The figures. Dictionaries of requests are by the kind of pod that was asked.

    `failed` is without `in_flight_failed`: requests that what was killed had got, and not answered.
    `longest_silence_s` is the longest time in which no request was answered at a door.
    `tritons_at_champion` is of the last time that all were there. `transactions_ended_s` are of
    relays that vanished with rows in their hands: until PostgreSQL gave the rows to another; None
    if it never did.
    """

    hosts: int
    pods: int
    seconds: float
    uploads_acknowledged: int
    acked_lost: int
    doubled: int
    orphans: int
    other_violations: int
    requests: dict[str, int]
    failed: int
    in_flight_failed: dict[str, int]
    refused_connections: int
    p50_ms: dict[str, float]
    p99_ms: dict[str, float]
    longest_silence_s: dict[str, float]
    kills: dict[str, int]
    median_recovery_s: dict[str, float]
    pods_ended_by_probe: int
    events_published_by: dict[str, int]
    events_announced_twice: int
    longest_announcement_s: float
    transactions_ended_s: list[float | None]
    predictions_answered: int
    predictions_recorded: int
    predictions_held_by_killed_triton: int
    releases: int
    releases_refused: int
    release_with_dead_triton_s: list[float]
    rollback_with_vanished_host_s: list[float]
    added_triton_ready_in_s: list[float]
    tritons: int
    tritons_at_champion: int


def summarise(found: Found, violations: Sequence[Violation]) -> Report:
    """Count. What was lost or doubled is counted by its subject, not by the rules it breaks."""
    subjects = {harm: {v.subject for v in violations if v.harm is harm} for harm in Harm}
    attempts = found.seen.attempts
    by_door = {door: found.seen.attempts_of(door) for door in sorted({a.door for a in attempts})}
    judged = judge(attempts, found.kills)
    newest = [served for served in found.served if len(served.answers) > 1][-1]
    return Report(
        hosts=len({pod.host for pod in found.pods}),
        pods=len(found.pods),
        seconds=round(found.seconds, 1),
        uploads_acknowledged=len({a.media_id for a in found.seen.acknowledged}),
        acked_lost=len(subjects[Harm.LOST]),
        doubled=len(subjects[Harm.DOUBLED]),
        orphans=len(subjects[Harm.ORPHANED]),
        other_violations=sum(v.harm is Harm.WRONG for v in violations),
        requests={door: len(asked) for door, asked in by_door.items()},
        failed=len(judged.failed),
        in_flight_failed=dict(Counter(attempt.door for attempt in judged.in_flight)),
        refused_connections=found.seen.refused_connections,
        p50_ms=_latencies_ms(by_door, 50),
        p99_ms=_latencies_ms(by_door, 99),
        longest_silence_s={
            # At its end, the load only waits for what is under way.
            door: round(longest_silence_s(asked, found.began_at_s + found.seconds), 2)
            for door, asked in by_door.items()
        },
        kills=dict(Counter(kill.kind for kill in found.kills)),
        median_recovery_s=recoveries_s(found.kills),
        pods_ended_by_probe=sum(pod.ended_by_probe for pod in found.pods),
        events_published_by={
            pod.name: events_published(pod.container.log.read_text().splitlines())
            for pod in found.pods
            if pod.kind == "relay"
        },
        events_announced_twice=announced_twice(found.state),
        longest_announcement_s=round(found.longest_announcement_s, 1),
        transactions_ended_s=[s and round(s, 1) for s in found.transactions_s],
        predictions_answered=len(found.seen.predictions),
        predictions_recorded=len(set(found.recorded)),
        predictions_held_by_killed_triton=len(found.held),
        releases=found.releases,
        releases_refused=len(found.releases_refused),
        release_with_dead_triton_s=[round(seconds, 1) for seconds in found.releases_s],
        rollback_with_vanished_host_s=[round(seconds, 1) for seconds in found.rollbacks_s],
        added_triton_ready_in_s=[round(seconds, 1) for seconds in found.added_after_s],
        tritons=len(newest.answers),
        tritons_at_champion=at_champion(newest),
    )


def longest_silence_s(attempts: Iterable[Attempt], until_s: float) -> float:
    """Return the longest time between two answers that follow each other, up to a moment."""
    ended_at_s = sorted(a.ended_at_s for a in attempts if a.failure is None)
    answered_at_s = [*(at_s for at_s in ended_at_s if at_s < until_s), until_s]
    return max((later - earlier for earlier, later in pairwise(answered_at_s)), default=0.0)


def recoveries_s(kills: Iterable[Kill]) -> dict[str, float]:
    """Return the median time from a kill to what was killed being ready again, by its kind."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        if kill.recovered_at_s is not None:
            seconds[kill.kind].append(kill.recovered_at_s - kill.ended_at_s)
    return {kind: round(statistics.median(values), 1) for kind, values in seconds.items()}


def events_published(lines: Iterable[str]) -> int:
    """Count the events that a relay says it published, by its log."""
    said = [json.loads(line)["message"] for line in lines if line.startswith("{")]
    return sum(int(text.split()[1]) for text in said if text.startswith(PUBLISHED))


def write(report: Report, path: Path) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=2) + "\n")


def _latencies_ms(by_door: Mapping[str, Sequence[Attempt]], percent: float) -> dict[str, float]:
    return {
        door: round(
            1000
            * percentile([a.ended_at_s - a.began_at_s for a in asked if not a.failure], percent),
            1,
        )
        for door, asked in by_door.items()
    }
