"""What classifiers learn: the numbers by which rounds are compared."""

import numpy as np
import pytest

from visionops_assets.tasks.registry import judging, learning

TASK = learning("classification")


def test_a_round_is_measured_by_its_right_answers_and_their_probabilities() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.75, 0.0, 0.25]], np.float32)
    loss, score = TASK.measure({"probabilities": probabilities}, np.array([0, 2]))
    assert loss == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)
    assert (score, TASK.score) == (0.5, "accuracy")


def test_a_class_without_any_probability_has_a_finite_loss() -> None:
    probabilities = np.array([[1.0, 0.0]], np.float32)
    loss, _ = TASK.measure({"probabilities": probabilities}, np.array([1]))
    assert loss == pytest.approx(-np.log(1e-12))


def test_targets_are_places_among_the_classes() -> None:
    targets = judging("classification").targets([("b",), ("a",), ("b",)], ("a", "b"))
    assert targets.tolist() == [1, 0, 1]
    assert targets.dtype == np.int64
    assert judging("classification").kinds(targets).tolist() == [1, 0, 1]
