"""What users report by themselves raises no alarm; labels that answer the draw find a true fall."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.declared import declaration
from visionops_assets.contracts import Outcome
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.monitoring.arbiter import Rule, decide
from visionops_assets.monitoring.facts import Estimate, Facts, Window
from visionops_assets.monitoring.gathering import stream_of
from visionops_assets.vision.monitoring.sequential import DetectorResult, ErrorDetector

RUNS = 50
PREDICTIONS = 10_000
LIMIT = 0.94
OF_ERRORS, OF_RIGHT_ANSWERS = 0.30, 0.01
PERCENT = 10.0
MODEL = declaration()
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Run:
    """Which answers were wrong, which ones users reported, and which were drawn."""

    wrong: Flags
    reported: Flags
    drawn: Flags

    def facts(self) -> Facts:
        answers = self.wrong[self.drawn]
        stream = stream_of(answers, alarm_of(answers))
        return Facts(
            model_version=1,
            stream=stream,
            askable=100,
            reports=int((self.wrong & self.reported).sum()),
        )


def alarm_of(errors: Flags) -> DetectorResult:
    return ErrorDetector(LIMIT, MODEL.monitoring.average_run_length).run(errors)


def runs(accuracy: float) -> Iterator[Run]:
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        wrong = rng.random(PREDICTIONS) >= accuracy
        reported = rng.random(PREDICTIONS) < np.where(wrong, OF_ERRORS, OF_RIGHT_ANSWERS)
        ids = [UUID(bytes=rng.bytes(16)) for _ in range(PREDICTIONS)]
        yield Run(wrong, reported, np.array([is_drawn(key, PERCENT) for key in ids]))


@pytest.fixture(scope="module")
def good() -> list[Run]:
    return list(runs(0.97))


def test_reports_of_a_good_model_alone_would_raise_the_alarm(good: list[Run]) -> None:
    """So they must not count: half of what users report is an error, whatever the model."""
    assert all(alarm_of(run.wrong[run.reported]).alarm_at for run in good)


def test_a_good_model_raises_no_alarm_but_its_reports_ask_for_labels(good: list[Run]) -> None:
    rule = Rule.of(MODEL, LIMIT)
    for run in good:
        facts = run.facts()
        assert facts.stream.alarm_at is None
        decision = decide(facts, rule)
        assert decision.outcome is Outcome.ASK_FOR_LABELS
        assert f"{facts.reports} of its answers were reported wrong" in decision.reason
        assert decision.evidence["reports"] == facts.reports


def test_a_fall_is_found_by_the_labels_that_answer_the_draw() -> None:
    alarms = [run.facts().stream.alarm_at for run in runs(0.8)]
    assert all(alarms)
    assert np.median([alarm for alarm in alarms if alarm]) < 150


def test_reports_are_a_doubt_until_labels_settle_it() -> None:
    rule = Rule.of(MODEL, LIMIT)
    piled = replace(next(runs(0.97)).facts(), reports=rule.reports)
    assert decide(piled, rule).outcome is Outcome.ASK_FOR_LABELS
    assert decide(replace(piled, reports=rule.reports - 1), rule).outcome is Outcome.WAIT
    assert decide(replace(piled, open_batch="batch 1"), rule).outcome is Outcome.WAIT
    settled = Window(labelled=100, accuracy=Estimate(0.97, LIMIT, 0.99))
    assert decide(replace(piled, window=settled), rule).outcome is Outcome.WAIT


@given(key=st.uuids(), less=st.floats(0, 100), more=st.floats(0, 100))
def test_a_larger_share_has_all_of_a_smaller_one(key: UUID, less: float, more: float) -> None:
    less, more = sorted((less, more))
    assert is_drawn(key, less) <= is_drawn(key, more)
    assert not is_drawn(key, 0)
    assert is_drawn(key, 100)


@pytest.mark.parametrize("percent", [1.0, 10.0, 50.0])
def test_the_share_is_kept_and_has_nothing_to_do_with_that_of_kept_images(percent: float) -> None:
    """Images are kept by the last digits of the id (`is_sampled`)."""
    rng = np.random.default_rng(0)
    ids = [UUID(bytes=rng.bytes(16)) for _ in range(20_000)]
    drawn = np.array([is_drawn(key, percent) for key in ids])
    kept = np.array([key.int % 1_000_000 < 500_000 for key in ids])
    for share in (drawn.mean(), drawn[kept].mean(), drawn[~kept].mean()):
        assert share == pytest.approx(percent / 100, abs=0.015)
