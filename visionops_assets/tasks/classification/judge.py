"""How classifiers are judged."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.base import Answer, Judging, Labels, Outputs
from visionops_assets.tasks.class_checks import sides_of_classes
from visionops_assets.tasks.classification.plots import confusion
from visionops_assets.tasks.classification.scores import confusion_matrix, per_class, score
from visionops_assets.tasks.classification.serve import PROBABILITIES_OF_NETWORK
from visionops_assets.tasks.evaluation import Evaluation, Score, accuracy
from visionops_assets.tasks.f1 import MACRO_F1, counts_of, macro_f1
from visionops_assets.tasks.plots import score_bars
from visionops_assets.vision.metrics import Indices
from visionops_assets.vision.parity import Parity

TRIVIALLY = "the commonest class alone"


class _Judging:
    """See `Judging`."""

    def evaluate(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> Evaluation:
        """See `Judging`: accuracy, and the mean F1 of the classes."""
        known, truth, answered = _indices(answers, labels, classes)
        texts = [label for [label] in labels]
        each = np.arange(len(known))
        named, shown = answered[:, None] == each, truth[:, None] == each
        right = accuracy(truth == answered, texts, TRIVIALLY)
        # The commonest class alone is found in all of its images, and F1 is the mean over classes.
        f1 = 2 * right.trivial / (1 + right.trivial) / len(set(texts))
        counts = counts_of(shown, named)
        return Evaluation(
            correct=truth == answered,
            scores=(right, Score(MACRO_F1, counts, f1, TRIVIALLY, macro_f1)),
            shown={name: shown[:, i] for i, name in enumerate(known)},
            found={name: (shown & named)[:, i] for i, name in enumerate(known)},
        )

    def scores(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> pd.DataFrame:
        """See `Judging`: accuracy, and precision, recall and F1 by class and on average."""
        known, truth, answered = _indices(answers, labels, classes)
        return score(truth, answered, known).table

    def by_class(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> pd.DataFrame:
        """See `Judging`."""
        known, truth, answered = _indices(answers, labels, classes)
        return per_class(truth, answered, known)

    def draw_errors(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> tuple[str, bytes]:
        """See `Judging`."""
        known, truth, answered = _indices(answers, labels, classes)
        return "confusion matrix", confusion(confusion_matrix(truth, answered, len(known)), known)

    def draw_scores(self, scores: pd.DataFrame) -> bytes:
        """See `Judging`."""
        return score_bars(scores)

    def strata(self, labels: Sequence[Labels]) -> list[str]:
        """See `Judging`. A class is a part."""
        return [label for [label] in labels]

    def check(
        self, labels: Sequence[Labels], is_holdout: npt.NDArray[np.bool_], min_holdout: int
    ) -> dict[str, int]:
        """See `Judging`. A class needs training frames, and some in the holdout."""
        return {
            name: held
            for name, (train, held, *_) in sides_of_classes(labels, is_holdout).items()
            if held < min_holdout or not train
        }

    def targets(
        self, labels: Sequence[tuple[str, ...]], classes: Sequence[str]
    ) -> npt.NDArray[np.int64]:
        """See `Judging`. Targets are int64 (N), indices of classes."""
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index[name] for [name] in labels], np.int64)

    def kinds(self, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """See `Judging`. A class is a kind."""
        return targets

    def parity(
        self,
        reference: Outputs,
        outputs: Outputs,
        targets: npt.NDArray[np.int64],
        card: ModelCard,  # noqa: ARG002 - needs none
    ) -> Parity:
        """See `Judging`. The score is the accuracy.

        An answer that is not finite agrees with nothing, is wrong, and has the largest error.
        """
        expected, found = (each[PROBABILITIES_OF_NETWORK.name] for each in (reference, outputs))
        if not len(targets):
            raise ValueError("A comparison needs at least one image.")
        if not (expected.shape == found.shape and len(expected) == len(targets)):
            raise ValueError(
                f"Probabilities {expected.shape} and {found.shape} of {len(targets)} images."
            )
        finite = np.isfinite(found).all(axis=1)
        ours, theirs = expected.argmax(axis=1), found.argmax(axis=1)
        errors = np.where(finite, np.abs(expected - found).max(axis=1), 1)
        return Parity(
            errors=errors.astype(np.float32),
            label_agreement=float(((ours == theirs) & finite).mean()),
            accuracy=float(((theirs == targets) & finite).mean()),
            reference_accuracy=float((ours == targets).mean()),
        )


def _indices(
    answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
) -> tuple[tuple[str, ...], Indices, Indices]:
    """Return all classes, and labels and answers as indices into them, both (n,).

    Classes that are only answered or labelled stand last, by name.
    """
    truth, answered = [label for [label] in labels], [answer.labels[0] for answer in answers]
    if not truth or len(truth) != len(answered):
        raise ValueError(f"{len(truth)} labels and {len(answered)} answers cannot be scored.")
    known = (*classes, *sorted({*truth, *answered} - set(classes)))
    index = {name: place for place, name in enumerate(known)}
    of_truth, of_answers = (
        np.array([index[name] for name in each], np.int64) for each in (truth, answered)
    )
    return known, of_truth, of_answers


TASK: Judging = _Judging()
