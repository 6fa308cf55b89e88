import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from visionops_assets.vision.metrics import Flags
from visionops_assets.vision.monitoring.estimation import ConfidenceCalibration

Floats = npt.NDArray[np.float64]


def answers(count: int, right_odds: float, seed: int) -> tuple[Floats, Flags]:
    """Draw answers of an over-confident model; right_odds : 1 is how often they are right."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(right_odds, 1, count)
    return probability**0.5, rng.random(count) < probability


REFERENCE = answers(2_000, 15, 0)
CALIBRATION = ConfidenceCalibration.fit(*REFERENCE)

labelled = st.lists(
    st.tuples(st.sampled_from([0.3, 0.5, 0.5001, 0.8, 0.99, 1.0]), st.booleans()),
    min_size=1,
    max_size=80,
)


@given(labelled)
def test_steps_are_those_of_isotonic_regression(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    calibration = ConfidenceCalibration.fit(confidence, correct)
    expected = IsotonicRegression().fit(confidence, correct).predict(confidence)
    np.testing.assert_allclose(calibration.calibrated(confidence), expected, atol=1e-9)
    assert (np.diff(calibration.calibrated(np.linspace(0, 1, 50))) >= 0).all()
    assert calibration.items.sum() == len(pairs)


@given(labelled)
def test_the_reference_itself_is_as_accurate_as_it_was(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    calibration = ConfidenceCalibration.fit(confidence, correct)
    estimate = calibration.estimate_accuracy(confidence)
    assert estimate.accuracy == pytest.approx(correct.mean())
    assert 0 <= estimate.low <= estimate.accuracy + 1e-12
    assert estimate.accuracy - 1e-12 <= estimate.high <= 1


def test_a_fall_of_confidence_is_seen_as_one_of_accuracy() -> None:
    confidence, correct = answers(1_000, 4, 1)
    estimate = CALIBRATION.estimate_accuracy(confidence)
    assert estimate.low <= correct.mean() <= estimate.high
    assert estimate.high < REFERENCE[1].mean()
    # The model's own word is too good, so that calibration is what made the difference.
    assert confidence.mean() > correct.mean() + 0.03


def test_limits_hold_the_accuracy_that_labels_show_later() -> None:
    held = 0
    for seed in range(100):
        calibration = ConfidenceCalibration.fit(*answers(500, 15, 2 * seed))
        confidence, correct = answers(200, 10, 2 * seed + 1)
        estimate = calibration.estimate_accuracy(confidence)
        held += bool(estimate.low <= correct.mean() <= estimate.high)
    assert held >= 87


def test_limits_are_wider_with_fewer_answers_of_either_kind() -> None:
    confidence, _ = answers(1_000, 15, 1)
    estimate = CALIBRATION.estimate_accuracy(confidence)
    few_new = CALIBRATION.estimate_accuracy(confidence[:50])
    few_known = ConfidenceCalibration.fit(*answers(60, 15, 0)).estimate_accuracy(confidence)
    assert few_new.high - few_new.low > 2 * (estimate.high - estimate.low)
    assert few_known.high - few_known.low > 2 * (estimate.high - estimate.low)


def test_a_confidence_that_the_reference_hardly_had_leaves_much_open() -> None:
    confidence = np.array([0.4] * 2 + [0.9] * 500)
    correct = np.array([False] * 2 + [True] * 500)
    calibration = ConfidenceCalibration.fit(confidence, correct)
    low_confidence = calibration.estimate_accuracy(np.full(1_000, 0.4))
    assert low_confidence.accuracy == 0
    assert low_confidence.high > 0.6
    assert calibration.estimate_accuracy(np.full(1_000, 0.9)).low > 0.99


def test_a_calibration_survives_json() -> None:
    text = json.dumps(CALIBRATION.as_lists())
    restored = ConfidenceCalibration.from_lists(json.loads(text))
    confidence, _ = answers(100, 8, 3)
    assert restored.estimate_accuracy(confidence) == CALIBRATION.estimate_accuracy(confidence)
    single = ConfidenceCalibration.fit(np.array([0.7]), np.array([True]))
    assert ConfidenceCalibration.from_lists(single.as_lists()).edges.shape == (0,)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        (np.zeros(0), np.zeros(0, np.bool_)),
        (np.array([0.5, 0.6]), np.array([True])),
        (np.array([1.5]), np.array([True])),
        (np.array([-0.1]), np.array([True])),
        (np.array([[0.5]]), np.array([[True]])),
        (np.array([np.nan]), np.array([True])),
    ],
)
def test_what_cannot_be_calibrated_is_refused(confidence: Floats, correct: Flags) -> None:
    with pytest.raises(ValueError, match=r"at least one|flags|within"):
        ConfidenceCalibration.fit(confidence, correct)


def test_nothing_cannot_be_estimated() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CALIBRATION.estimate_accuracy(np.zeros(0))
