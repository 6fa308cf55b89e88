"""The parts of a task, as protocols that each task fulfils, and the records that all share.

The third part, how models of a task learn, is `Learning` in `vision/learning.py`: it needs PyTorch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.contracts.tensors import TensorSpec

if TYPE_CHECKING:  # Triton has neither pandas nor what parity needs.
    import pandas as pd

    from visionops_assets.tasks.evaluation import Evaluation
    from visionops_assets.vision.parity import Parity

Outputs = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, with one row per image."""
Labels = tuple[str, ...]
"""The labels that people gave one image."""
Targets = npt.NDArray[Any]
"""The target of each image in one row; only its task knows more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a model to one image.

    `probabilities` are by class, in the order of the model card's classes. `confidence` is the
    model's own estimate that `labels` are right, 0..1. Golden answers have labels alone.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...] = ()
    confidence: float = 0.0

    @property
    def label(self) -> str:
        """Return the labels as one text."""
        return SEPARATOR.join(self.labels)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Labels that are likely wrong: those of the image in `row`, which likely shows `likely`.

    `score` is the probability of the given labels, 0..1; of several, of the most doubtful one.
    """

    row: int
    likely: Labels
    score: float


class Doubting(Protocol):
    """How labels of a task are doubted. Imports scikit-learn and cleanlab."""

    def doubts(
        self,
        embeddings: npt.NDArray[np.float32],
        labels: Sequence[Labels],
        groups: npt.NDArray[np.str_],
    ) -> list[Doubt]:
        """Find the labels of N images that are likely wrong, the most doubtful first.

        `embeddings` are (N, E). Images of one of the `groups` (N) do not judge each other. Classes
        with too few groups are not judged.
        """


class Serving(Protocol):
    """How models of a task answer, and how answers are compared. Needs NumPy alone.

    `network` are the outputs of a network beside its embedding, `answers` what clients get beside
    embedding and identity.
    """

    @property
    def network(self) -> tuple[TensorSpec, ...]:
        """Return the outputs of a network, without its embedding."""

    @property
    def answers(self) -> tuple[TensorSpec, ...]:
        """Return the outputs of the served model, without embedding and identity."""

    def decode(self, outputs: Outputs, card: ModelCard) -> list[Answer]:
        """Turn a network's outputs for N images into N answers."""

    def tensors(
        self, outputs: Outputs, card: ModelCard
    ) -> Mapping[str, Callable[[], npt.NDArray[Any]]]:
        """Return what makes each tensor of `answers` from a network's outputs for N images."""

    def read(self, row: Mapping[str, Any]) -> Answer:
        """Read the answer to one image from the `answers` of a served model.

        A tensor of text is a string, one of numbers a sequence.
        """

    def is_wrong(self, answer: Answer, labels: tuple[str, ...]) -> bool:
        """Say whether an answer is wrong where people gave these labels."""

    def agrees(self, answer: Answer, other: Answer) -> bool:
        """Say whether two models gave the same answer, as clients see it."""


class Judging(Protocol):
    """How models of a task are judged by what people said. Needs no PyTorch.

    `answers` and `labels` are those of n images, `classes` in the order in which they are shown;
    classes that are named besides stand last.
    """

    def evaluate(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> "Evaluation":
        """Evaluate a model's answers for the gate.

        Raises:
            ValueError: there are no answers, or not one per label.
        """

    def scores(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> "pd.DataFrame":
        """Score answers: the columns `measure`, `class`, `value`, `low`, `high` and `support`.

        `class` is empty in rows over all classes, and `accuracy` is among those. A score without
        items to take it over is NaN. Errors are those of `evaluate`.
        """

    def by_class(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> "pd.DataFrame":
        """Return the scores of each class in one row, which the class names."""

    def draw_errors(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> tuple[str, bytes]:
        """Draw which answers were given where which labels are true: a caption, and a PNG."""

    def draw_scores(self, scores: "pd.DataFrame") -> bytes:
        """Draw what `scores` returned, class by class, as PNG."""

    def strata(self, labels: Sequence[Labels]) -> list[str]:
        """Name the part of all frames for which each of N frames stands.

        The holdout gets its share of each part.
        """

    def check(
        self, labels: Sequence[Labels], is_holdout: npt.NDArray[np.bool_], min_holdout: int
    ) -> dict[str, int]:
        """Find the classes that N frames, some of them in the holdout, do not suffice for.

        Returns:
            The holdout frames of each such class, by its name.
        """

    def targets(self, labels: Sequence[tuple[str, ...]], classes: Sequence[str]) -> Targets:
        """Return the target of each of N frames with these labels, all of them among `classes`."""

    def kinds(self, targets: Targets) -> npt.NDArray[np.int64]:
        """Number the kinds of frames (N), so that some of each kind can be drawn."""

    def parity(
        self, reference: Outputs, outputs: Outputs, targets: Targets, card: ModelCard
    ) -> "Parity":
        """Compare an artifact's outputs for N images with PyTorch's.

        Raises:
            ValueError: there are no images, or the lengths differ.
        """
