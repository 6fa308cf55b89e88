"""Wrong labels are found among right ones of real pictures."""

import numpy as np
from sklearn.datasets import load_digits

from visionops_assets.tasks.registry import doubting

TASK = doubting("classification")
SOURCE = load_digits()
PIXELS = np.asarray(SOURCE.data / 16, np.float32)
RIGHT = SOURCE.target.astype(np.int64)
SINGLE = np.arange(len(RIGHT)).astype(np.str_)


def test_one_label_in_twenty_is_wrong_and_most_are_found() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.choice(len(RIGHT), len(RIGHT) // 20, replace=False)
    given = RIGHT.copy()
    given[wrong] = (RIGHT[wrong] + rng.integers(1, 10, len(wrong))) % 10
    doubts = TASK.doubts(PIXELS, [(str(digit),) for digit in given], SINGLE)
    found = np.array([doubt.row for doubt in doubts])
    hits = np.isin(found, wrong)
    assert hits.sum() >= 0.9 * len(wrong)
    assert hits.mean() >= 0.5
    named = [doubt.likely == (str(RIGHT[doubt.row]),) for doubt in doubts]
    assert np.mean(np.array(named)[hits]) > 0.9
    assert [doubt.likely[0] for doubt in doubts] != [str(given[row]) for row in found]
    scores = [doubt.score for doubt in doubts]
    assert scores == sorted(scores)
    assert 0 <= scores[0] < 0.05


def test_a_class_with_too_few_groups_is_not_judged() -> None:
    labels = [(str(digit),) for digit in RIGHT]
    few = np.where(RIGHT == 3, "one", SINGLE)
    doubts = TASK.doubts(PIXELS, labels, few)
    assert doubts
    assert all(RIGHT[doubt.row] != 3 and doubt.likely != ("3",) for doubt in doubts)


def test_without_two_classes_nothing_is_doubted() -> None:
    assert TASK.doubts(PIXELS, [("all",)] * len(RIGHT), SINGLE) == []
