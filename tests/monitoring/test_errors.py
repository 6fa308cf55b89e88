"""Wrong answers in the eyes of a task."""

import numpy as np
import pytest

from visionops_assets.monitoring.errors import wrong_ones


def test_each_answer_is_compared_with_its_own_label_in_their_order() -> None:
    wrong = wrong_ones([("a", "a"), ("a", "b"), ("b", "a"), ("a", "a")], "classification")
    assert wrong.tolist() == [False, True, True, False]


def test_a_set_is_wrong_by_one_label() -> None:
    pairs = [("a, b", "a, b"), ("a", "a, b"), ("", ""), ("a, b", "b, a")]
    assert wrong_ones(pairs, "multilabel").tolist() == [False, True, False, False]


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_without_answers_there_are_no_errors(task: str) -> None:
    assert wrong_ones([], task).dtype == np.bool_
    assert len(wrong_ones([], task)) == 0
