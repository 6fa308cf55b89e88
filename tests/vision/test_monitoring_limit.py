"""The accuracy that a served model must keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import GateVerdict
from visionops_assets.vision.monitoring.limit import UNMEASURED_LIMIT, limit_of
from visionops_assets.vision.monitoring.sequential import ErrorDetector


def verdict(low: float, trivial: float | None) -> GateVerdict:
    return GateVerdict(
        model_name="m",
        model_version=1,
        champion_version=None,
        snapshot_id="s",
        holdout_size=100,
        accuracy=low,
        accuracy_low=low,
        accuracy_high=1,
        trivial_accuracy=trivial,
        champion_accuracy=None,
        passed=True,
        reason="A test.",
    )


def test_a_model_that_was_never_measured_must_keep_to_85_percent() -> None:
    assert limit_of(None) == 0.85


@pytest.mark.parametrize(
    ("low", "trivial", "limit"),
    [
        (0.97, 0.1, 0.8395),  # ten even classes
        (0.8, 1 / 3, 0.73),  # three
        (0.93, 0.9, 0.9255),  # one is nine of ten
        (0.3, 0.4, 0.3),  # not sure to be better than the trivial answer
        (1.0, None, 0.85),  # a verdict of an earlier version
        (0.0, 0.5, 0.01),
    ],
)
def test_the_limit_follows_from_what_the_gate_measured(
    low: float, trivial: float | None, limit: float
) -> None:
    assert limit_of(verdict(low, trivial)) == pytest.approx(limit)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_limit_lies_below_what_was_measured_and_above_the_trivial_answer(
    low: float, trivial: float
) -> None:
    limit = limit_of(verdict(low, trivial))
    ErrorDetector(min(limit, 0.999))
    assert limit <= max(low, 0.01)
    assert limit >= min(low, trivial) - 1e-12


def test_without_a_verdict_there_is_a_limit_all_the_same() -> None:
    assert limit_of(None) == UNMEASURED_LIMIT
