"""A label too many or too few is found, and the likely set of labels said."""

import numpy as np
from sklearn.datasets import load_digits

from tests.tasks.multilabel.digits import CLASSES, labels_of
from visionops_assets.tasks.registry import doubting

TASK = doubting("multilabel")
SOURCE = load_digits(n_class=6)
PIXELS = np.asarray(SOURCE.data / 16, np.float32)
RIGHT = [labels_of(int(digit)) for digit in SOURCE.target]
GROUPS = np.arange(len(RIGHT)).astype(np.str_)


def toggled(labels: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(sorted({*labels} ^ {name}))


def test_one_label_in_twenty_is_wrong_and_most_are_found() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.choice(len(RIGHT), len(RIGHT) // 20, replace=False)
    given = list(RIGHT)
    for row in wrong:
        given[row] = toggled(RIGHT[row], CLASSES[rng.integers(3)])
    doubts = TASK.doubts(PIXELS, given, GROUPS)
    hits = np.isin([doubt.row for doubt in doubts], wrong)
    # Loops are no matter of single pixels.
    assert hits.sum() >= 0.8 * len(wrong)
    assert hits.mean() >= 0.8
    named = [set(doubt.likely) == set(RIGHT[doubt.row]) for doubt in doubts]
    assert np.mean(np.array(named)[hits]) > 0.9
    assert all(set(doubt.likely) != set(given[doubt.row]) for doubt in doubts)
    scores = [doubt.score for doubt in doubts]
    assert scores == sorted(scores)


def test_a_class_that_is_always_shown_is_not_judged() -> None:
    given = [(*labels, "a digit") for labels in RIGHT]
    assert all("a digit" in doubt.likely for doubt in TASK.doubts(PIXELS, given, GROUPS))
    assert TASK.doubts(PIXELS, [("a digit",)] * len(RIGHT), GROUPS) == []
