"""The result of evaluating answers: named scores, each with the parts that a bootstrap resamples.

Not here: how a task evaluates (`judge.py` of its room), and which limits a score must keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.metrics import (
    GroupedDifference,
    GroupedShare,
    Statistic,
    grouped_difference,
    grouped_share,
    grouped_statistic,
    grouped_statistic_difference,
)

Flags = npt.NDArray[np.bool_]
Groups = Sequence[str] | npt.NDArray[np.str_]
ACCURACY = "accuracy"


@dataclass(frozen=True)
class Score:
    """One score of N answers, 0..1, the larger, the better.

    `parts` are what each answer adds, (N, ...), and `of` makes the value of their sums. Without
    `of` the score is a share: `parts` are bool (N), whether each is right. `trivial` is the score
    of the best answer that looks at no image, which `trivially` names.
    """

    name: str
    parts: npt.NDArray[Any]
    trivial: float
    trivially: str
    of: Statistic | None = None

    @property
    def words(self) -> str:
        """Return its name as people read it."""
        return self.name.replace("_", " ").replace("f1", "F1")

    @property
    def value(self) -> float:
        """Return the score."""
        if self.of is None:
            return float(self.parts.mean())
        return float(self.of(self.parts.sum(axis=0)))

    def estimate(self, groups: Groups) -> GroupedShare:
        """Estimate the score with an interval that counts groups, one per answer."""
        if self.of is None:
            return grouped_share(self.parts, groups)
        return grouped_statistic(self.parts, self.of, groups)

    def minus(self, other: "Score", groups: Groups) -> GroupedDifference:
        """Estimate the difference from the same score of other answers to the same images."""
        if self.of is None:
            return grouped_difference(self.parts, other.parts, groups)
        return grouped_statistic_difference(self.parts, other.parts, self.of, groups)


@dataclass(frozen=True)
class Evaluation:
    """N answers beside the labels of people.

    `correct`, bool (N), are those that the task does not call wrong. `scores` begin with that by
    which models of the task are compared. `shown` says by class which images show it, bool (N), and
    `found` which of them the model named it for.
    """

    correct: Flags
    scores: tuple[Score, ...]
    shown: Mapping[str, Flags]
    found: Mapping[str, Flags]

    def score(self, name: str = "") -> Score:
        """Return a score by its name; without one, the first.

        Raises:
            KeyError: there is no such score.
        """
        if not name:
            return self.scores[0]
        try:
            return next(score for score in self.scores if score.name == name)
        except StopIteration:
            raise KeyError(f"There is no score {name!r}.") from None


def accuracy(correct: Flags, texts: Sequence[str], trivially: str) -> Score:
    """Return the share of right answers, bool (N), to images whose labels are these texts (N)."""
    commonest = np.unique(np.asarray(texts, np.str_), return_counts=True)[1].max()
    return Score(ACCURACY, correct, float(commonest / len(texts)), trivially)
