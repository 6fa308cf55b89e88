import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.invariants import Harm, Violation
from tests.chaos.records import Acknowledged, KillRecord, MediaRow, State
from tests.chaos.report import convergence_s, percentile, summarise, write
from visionops_assets.contracts import MediaStatus

FIRST, SECOND = UUID(int=1), UUID(int=2)
ANSWERS = [
    Acknowledged(FIRST, "camera", "aa", 10.0, is_decodable=True),
    Acknowledged(FIRST, "camera", "aa", 12.0, is_decodable=True),
    Acknowledged(SECOND, "camera", "bb", 30.0, is_decodable=True),
]
KILLS = [KillRecord("relay", 5.0), KillRecord("relay", 20.0), KillRecord("ingest", 40.0)]


def state(second_processed_at_s: float | None) -> State:
    rows = [(FIRST, 26.0), (SECOND, second_processed_at_s)]
    return State(
        media=tuple(
            MediaRow(media_id, MediaStatus.PROCESSED, "camera", "", "", 1, processed_at_s)
            for media_id, processed_at_s in rows
        )
    )


def test_convergence_counts_what_was_acknowledged_before_the_kill() -> None:
    assert convergence_s(ANSWERS, KILLS, state(55.0)) == [0.0, 6.0, 15.0]


def test_a_report_counts_files_kills_and_harm_by_subject() -> None:
    violations = [
        Violation(Harm.LOST, "a", "no row"),
        Violation(Harm.LOST, "a", "no object"),
        Violation(Harm.DOUBLED, "b", "two frames"),
    ]
    report = summarise(7, ANSWERS, KILLS, state(55.0), violations)
    assert (report.uploads, report.kills, report.seed) == (2, 3, 7)
    assert (report.acked_lost, report.duplicate_effects, report.orphans_after_sweep) == (1, 1, 0)
    assert report.kills_by_target == {"ingest": 1, "relay": 2}
    assert report.seconds_to_converge_p99 == 15.0


def test_what_never_converged_has_no_time(tmp_path: Path) -> None:
    report = summarise(7, ANSWERS, KILLS, state(None), [])
    write(report, tmp_path / "build" / "chaos.json")
    assert (
        json.loads((tmp_path / "build" / "chaos.json").read_text())["seconds_to_converge_p99"]
        is None
    )


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


@pytest.mark.parametrize("values", [[], [-3.0, -1.0]])
def test_a_percentile_is_never_below_zero(values: list[float]) -> None:
    assert percentile(values, 99) == 0.0
