"""Which labels of multi-label models are likely wrong: each class by itself, shown or not."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

from visionops_assets.tasks.base import Doubt, Doubting, Labels
from visionops_assets.tasks.multilabel.judge import TASK as JUDGING
from visionops_assets.vision.out_of_fold import (
    LEAST_PROBABLE,
    judgeable,
    out_of_fold,
    reduced,
)

RULE = "predicted_neq_given"


class _Doubting:
    """See `Doubting`."""

    def doubts(
        self,
        embeddings: npt.NDArray[np.float32],
        labels: Sequence[Labels],
        groups: npt.NDArray[np.str_],
    ) -> list[Doubt]:
        """See `Doubting`. A class needs enough groups with it, and enough without."""
        classes = sorted({name for each in labels for name in each})
        shown = JUDGING.targets(labels, classes).astype(np.int64)
        judged = [
            place
            for place, column in enumerate(shown.T)
            if len(np.unique(column)) == 2 and judgeable(column, groups).all()  # noqa: PLR2004
        ]
        if not judged:
            return []
        features = reduced(embeddings)
        columns = [out_of_fold(features, shown[:, place], groups)[:, 1] for place in judged]
        probabilities, given = np.stack(columns, axis=1), shown[:, judged]
        sets = [list(np.flatnonzero(row)) for row in given]
        found = find_multilabel_issues_per_class(sets, probabilities, filter_by=RULE, n_jobs=1)
        trust = np.asarray(get_label_quality_scores_per_class(sets, probabilities))
        is_doubted = np.asarray(found) & (trust < LEAST_PROBABLE)
        scores = trust.min(axis=1)
        likely = shown.copy()
        likely[:, judged] = np.where(is_doubted, 1 - given, given)
        doubted = np.flatnonzero(is_doubted.any(axis=1))
        return [
            Doubt(int(i), tuple(classes[k] for k in np.flatnonzero(likely[i])), float(scores[i]))
            for i in doubted[np.argsort(scores[doubted], kind="stable")]
        ]


TASK: Doubting = _Doubting()
