"""How multi-label models are judged."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.tasks.base import Answer, Judging, Labels, Outputs
from visionops_assets.tasks.class_checks import sides_of_classes
from visionops_assets.tasks.class_scores import COLUMNS, Counts, class_rows, per_class, share_row
from visionops_assets.tasks.evaluation import Evaluation, accuracy
from visionops_assets.tasks.f1 import MICRO_F1, counts_of, macro_f1
from visionops_assets.tasks.multilabel.scores import f1_scores
from visionops_assets.tasks.multilabel.serve import PROBABILITIES_OF_NETWORK, named
from visionops_assets.tasks.plots import errors_of_classes, score_bars
from visionops_assets.vision.parity import Parity

Targets = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
TRIVIALLY = "the commonest labels alone"


class _Judging:
    """See `Judging`."""

    def evaluate(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> Evaluation:
        """See `Judging`: macro F1, micro F1, and the share of images with all labels right."""
        known, truth, names = _flags(answers, labels, classes)
        correct = np.asarray((truth == names).all(axis=1))
        texts = [SEPARATOR.join(sorted(each)) for each in labels]
        return Evaluation(
            correct=correct,
            scores=(*f1_scores(truth, names), accuracy(correct, texts, TRIVIALLY)),
            shown={name: truth[:, i] for i, name in enumerate(known)},
            found={name: (truth & names)[:, i] for i, name in enumerate(known)},
        )

    def scores(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> pd.DataFrame:
        """See `Judging`: accuracy of whole sets, micro F1, and precision, recall and F1."""
        known, truth, names = _flags(answers, labels, classes)
        n, right = len(truth), int((truth == names).all(axis=1).sum())
        micro = f1_scores(truth, names)[1].estimate([str(number) for number in range(n)])
        rows = [
            share_row("accuracy", right, n),
            (MICRO_F1, "", micro.value, *micro.interval, n),
            *class_rows(_counts(truth, names), known, n),
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def by_class(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> pd.DataFrame:
        """See `Judging`."""
        known, truth, names = _flags(answers, labels, classes)
        return per_class(_counts(truth, names), known)

    def draw_errors(
        self, answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
    ) -> tuple[str, bytes]:
        """See `Judging`."""
        known, truth, names = _flags(answers, labels, classes)
        return "errors by class", errors_of_classes(_counts(truth, names), known)

    def draw_scores(self, scores: pd.DataFrame) -> bytes:
        """See `Judging`."""
        return score_bars(scores)

    def strata(self, labels: Sequence[Labels]) -> list[str]:
        """See `Judging`. A frame stands for the rarest class that it shows, or for none."""
        counts = Counter(name for each in labels for name in set(each))
        return [min(each, key=lambda name: (counts[name], name), default="") for each in labels]

    def check(
        self, labels: Sequence[Labels], is_holdout: npt.NDArray[np.bool_], min_holdout: int
    ) -> dict[str, int]:
        """See `Judging`. Frames without a class are needed, too, on both sides."""
        return {
            name: held
            for name, (train, held, *without) in sides_of_classes(labels, is_holdout).items()
            if held < min_holdout or not train or not all(without)
        }

    def targets(self, labels: Sequence[tuple[str, ...]], classes: Sequence[str]) -> Targets:
        """See `Judging`. Targets are float32 (N, classes): 1 for what an image shows, else 0."""
        index = {name: number for number, name in enumerate(classes)}
        targets = np.zeros((len(labels), len(classes)), np.float32)
        for row, names in zip(targets, labels, strict=True):
            row[[index[name] for name in names]] = 1
        return targets

    def kinds(self, targets: Targets) -> npt.NDArray[np.int64]:
        """See `Judging`. What is shown together is a kind."""
        _, kinds = np.unique(targets, axis=0, return_inverse=True)
        return np.asarray(kinds.reshape(-1), np.int64)

    def parity(
        self, reference: Outputs, outputs: Outputs, targets: Targets, card: ModelCard
    ) -> Parity:
        """See `Judging`. The score is macro F1.

        An answer that is not finite names nothing, agrees with nothing, and has the largest error.
        """
        expected, found = (each[PROBABILITIES_OF_NETWORK.name] for each in (reference, outputs))
        if not len(targets):
            raise ValueError("A comparison needs at least one image.")
        if not expected.shape == found.shape == targets.shape:
            raise ValueError(f"Probabilities {expected.shape}, {found.shape} of {targets.shape}.")
        finite = np.asarray(np.isfinite(found).all(axis=1))
        ours, theirs = named(expected, card), named(found, card) & finite[:, None]
        errors = np.where(finite, np.abs(expected - found).max(axis=1), 1)
        shown = targets > 0
        return Parity(
            errors=errors.astype(np.float32),
            label_agreement=float(((ours == theirs).all(axis=1) & finite).mean()),
            accuracy=float(macro_f1(counts_of(shown, theirs).sum(axis=0))),
            reference_accuracy=float(macro_f1(counts_of(shown, ours).sum(axis=0))),
        )


def _flags(
    answers: Sequence[Answer], labels: Sequence[Labels], classes: Sequence[str]
) -> tuple[tuple[str, ...], Flags, Flags]:
    """Return all classes (C), and what is shown and what is named, both bool (N, C).

    Classes that are only answered or labelled stand last, by name.
    """
    sets = [answer.labels for answer in answers]
    if not sets or len(sets) != len(labels):
        raise ValueError(f"{len(labels)} labels and {len(sets)} answers cannot be scored.")
    known = (*classes, *sorted({name for each in (*sets, *labels) for name in each} - {*classes}))
    truth, names = (TASK.targets(each, known) > 0 for each in (labels, sets))
    return known, truth, names


def _counts(truth: Flags, names: Flags) -> Counts:
    return Counts(*(each.sum(axis=0) for each in (truth & names, names, truth)))


TASK: Judging = _Judging()
