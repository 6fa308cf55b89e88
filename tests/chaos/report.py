"""The figures of one run: `build/chaos.json`."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.invariants import Harm, Violation
from tests.chaos.records import Acknowledged, KillRecord, State


@dataclass(frozen=True)
class Report:
    """What a run came to.

    `seconds_to_converge_p99` is over the kills (see `convergence_s`); None if it never did.
    """

    uploads: int
    kills: int
    acked_lost: int
    duplicate_effects: int
    orphans_after_sweep: int
    other_violations: int
    seconds_to_converge_p99: float | None
    seed: int
    kills_by_target: dict[str, int]
    disks_filled: int = 0
    logs_cut: int = 0


def summarise(
    seed: int,
    answers: Sequence[Acknowledged],
    kills: Sequence[KillRecord],
    state: State,
    violations: Sequence[Violation],
) -> Report:
    """Count. What was lost or doubled is counted by its subject, not by the rules it breaks."""
    subjects = {harm: {v.subject for v in violations if v.harm is harm} for harm in Harm}
    converged_s = percentile(convergence_s(answers, kills, state), 99)
    return Report(
        uploads=len({answer.media_id for answer in answers}),
        kills=len(kills),
        acked_lost=len(subjects[Harm.LOST]),
        duplicate_effects=len(subjects[Harm.DOUBLED]),
        orphans_after_sweep=len(subjects[Harm.ORPHANED]),
        other_violations=len(subjects[Harm.WRONG]),
        seconds_to_converge_p99=round(converged_s, 1) if math.isfinite(converged_s) else None,
        seed=seed,
        kills_by_target=dict(sorted(Counter(kill.target for kill in kills).items())),
    )


def convergence_s(
    answers: Sequence[Acknowledged], kills: Sequence[KillRecord], state: State
) -> list[float]:
    """For each kill, the seconds until every file acknowledged before it was processed."""
    processed_at_s = {row.media_id: row.processed_at_s or math.inf for row in state.media}
    return [
        max(
            (
                processed_at_s.get(answer.media_id, math.inf) - kill.killed_at_s
                for answer in answers
                if answer.acknowledged_at_s <= kill.killed_at_s
            ),
            default=0.0,
        )
        for kill in kills
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed; at least 0."""
    ordered = sorted(values)
    rank = math.ceil(percent / 100 * len(ordered))
    return max(0.0, ordered[rank - 1]) if ordered else 0.0


def write(report: Report, path: Path) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=2) + "\n")
