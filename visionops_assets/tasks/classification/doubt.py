"""Which labels of classifiers are likely wrong, by confident learning (Northcutt et al., 2021)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from visionops_assets.tasks.base import Doubt, Doubting, Labels
from visionops_assets.vision.out_of_fold import (
    LEAST_PROBABLE,
    judgeable,
    out_of_fold,
    reduced,
)

RULE = "predicted_neq_given"
"""Another class is likelier. Rules that count the errors by confident disagreement first found 67 %
of the errors where a network is right nearly always, and were right in 40 % where it errs often."""


class _Doubting:
    """See `Doubting`."""

    def doubts(
        self,
        embeddings: npt.NDArray[np.float32],
        labels: Sequence[Labels],
        groups: npt.NDArray[np.str_],
    ) -> list[Doubt]:
        """See `Doubting`."""
        classes, given = np.unique([label for [label] in labels], return_inverse=True)
        rows = np.flatnonzero(judgeable(given, groups))
        known, kinds = np.unique(given[rows], return_inverse=True)
        if len(known) < 2:  # noqa: PLR2004
            return []
        probabilities = out_of_fold(reduced(embeddings[rows]), kinds, groups[rows])
        scores = get_label_quality_scores(kinds, probabilities)
        likely = probabilities.argmax(axis=1)
        is_doubted = find_label_issues(kinds, probabilities, filter_by=RULE, n_jobs=1)
        doubted = np.flatnonzero(is_doubted & (scores < LEAST_PROBABLE))
        return [
            Doubt(int(rows[i]), (str(classes[known[likely[i]]]),), float(scores[i]))
            for i in doubted[np.argsort(scores[doubted], kind="stable")]
        ]


TASK: Doubting = _Doubting()
