from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.metrics import Flags
from visionops_assets.vision.monitoring.sequential import (
    ALTERNATIVE_ODDS_RATIOS,
    ErrorDetector,
    LogEvidence,
)

DETECTOR = ErrorDetector(min_accuracy=0.9, average_run_length=2_000)


def stream(probability: float, count: int, seed: int = 0) -> Flags:
    return np.random.default_rng(seed).random(count) < probability


def evidence_by_definition(errors: Flags, min_accuracy: float) -> LogEvidence:
    """Follow the recursion of the e-CUSUM, one answer at a time."""
    p0 = 1 - min_accuracy
    alternatives = [p0 * ratio / (1 - p0 + p0 * ratio) for ratio in ALTERNATIVE_ODDS_RATIOS]
    cusums = [0.0] * len(alternatives)
    evidence = []
    for wrong in errors:
        for k, p1 in enumerate(alternatives):
            e = p1 / p0 if wrong else (1 - p1) / (1 - p0)
            cusums[k] = max(cusums[k], 1.0) * e
        evidence.append(log(sum(cusums) / len(cusums)))
    return np.array(evidence)


streams = st.lists(st.booleans(), min_size=1, max_size=200).map(np.array)


@given(streams, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_evidence_is_that_of_the_definition(errors: Flags, min_accuracy: float) -> None:
    result = ErrorDetector(min_accuracy, 50).run(errors)
    expected = evidence_by_definition(errors, min_accuracy)
    np.testing.assert_allclose(result.log_evidence, expected, atol=1e-9)


@given(streams, st.integers(0, 2**32 - 1))
def test_an_error_more_never_makes_the_alarm_later(errors: Flags, seed: int) -> None:
    worse = errors | stream(0.1, len(errors), seed)
    detector = ErrorDetector(0.8, 5)
    before, after = detector.run(errors), detector.run(worse)
    assert (after.log_evidence >= before.log_evidence - 1e-12).all()
    if before.alarm_at is not None:
        assert after.alarm_at is not None
        assert after.alarm_at <= before.alarm_at


def test_right_answers_never_raise_an_alarm() -> None:
    result = DETECTOR.run(np.zeros(20_000, np.bool_))
    assert result.alarm_at is None
    assert result.log_evidence.max() < 0


def test_right_answers_of_the_past_do_not_delay_the_alarm() -> None:
    fallen = stream(0.37, 300)
    alone = DETECTOR.run(fallen).alarm_at
    after = DETECTOR.run(np.concatenate([np.zeros(5_000, np.bool_), fallen])).alarm_at
    assert alone is not None
    assert after == 5_000 + alone


def test_alarm_is_the_first_answer_that_reaches_the_threshold() -> None:
    result = DETECTOR.run(stream(0.37, 300))
    assert result.log_threshold == pytest.approx(log(2_000))
    assert result.alarm_at is not None
    reached = result.log_evidence >= result.log_threshold
    assert reached[result.alarm_at - 1]
    assert not reached[: result.alarm_at - 1].any()


@pytest.mark.parametrize("min_accuracy", [0.8, 0.9, 0.95])
def test_false_alarms_are_as_rare_as_promised_at_the_limit(min_accuracy: float) -> None:
    # A stream that ends without an alarm counts as if one came last: the true mean is larger.
    detector, count = ErrorDetector(min_accuracy, 100), 400
    alarms = [
        detector.run(stream(1 - min_accuracy, count, seed)).alarm_at or count for seed in range(100)
    ]
    assert np.mean(alarms) > 100


def test_no_answers_say_nothing() -> None:
    result = DETECTOR.run(np.zeros(0, np.bool_))
    assert result.alarm_at is None
    assert len(result.log_evidence) == 0


@pytest.mark.parametrize("min_accuracy", [0.0, 1.0, -0.1, 90.0, float("nan")])
def test_a_limit_that_is_no_accuracy_is_refused(min_accuracy: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ErrorDetector(min_accuracy)


def test_a_run_length_just_above_1_is_taken() -> None:
    assert ErrorDetector(0.9, 1.5).run(np.ones(1, np.bool_)).alarm_at == 1


@pytest.mark.parametrize("run_length", [1.0, 0.0, -5.0, float("inf"), float("nan")])
def test_a_run_length_that_means_nothing_is_refused(run_length: float) -> None:
    with pytest.raises(ValueError, match="above 1"):
        ErrorDetector(0.9, run_length)


@pytest.mark.parametrize("errors", [np.zeros(3, np.int64), np.zeros((3, 2), np.bool_)])
def test_what_is_no_stream_of_flags_is_refused(errors: Flags) -> None:
    with pytest.raises(ValueError, match="bool"):
        DETECTOR.run(errors)


def test_by_default_it_looks_for_what_its_description_says() -> None:
    """At a limit of 0.90: accuracies of 0.88, 0.85, 0.78 and 0.64."""
    odds = np.array(ALTERNATIVE_ODDS_RATIOS) * 0.1 / 0.9
    assert np.round(1 / (1 + odds), 2).tolist() == [0.88, 0.85, 0.78, 0.64]


def test_by_default_false_alarms_are_5000_answers_apart() -> None:
    found = ErrorDetector(0.9).run(np.zeros(1, np.bool_))
    assert found.log_threshold == pytest.approx(np.log(5_000))


@pytest.mark.parametrize(("accuracy", "answers"), [(0.63, 35), (0.85, 620)])
def test_the_alarm_comes_as_soon_as_its_description_says(accuracy: float, answers: int) -> None:
    rng = np.random.default_rng(5)
    alarms = [
        ErrorDetector(0.9).run(rng.random(5_000) >= accuracy).alarm_at or 5_000 for _ in range(60)
    ]
    assert np.median(alarms) == pytest.approx(answers, rel=0.3)
