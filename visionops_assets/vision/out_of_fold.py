"""Class probabilities of frames by models that never saw them, by which labels are doubted. Pure.

A logistic regression on embeddings takes seconds where a training takes minutes, so each frame can
be judged by one that learned from other frames. Groups are never split: of two frames of a video
one would tell the other's label.
"""

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

FOLDS = 5
DIMENSIONS = 128
"""Directions of greatest variance that are kept: a few lose nothing, and take a tenth of the time.
They are found without any label, so no frame tells its own."""
STRENGTH = 0.03
"""Inverse of the penalty on squared weights (`C` of scikit-learn)."""
LEAST_PROBABLE = 0.1
"""Probability of a label below which it is doubted, if another one is likelier. Measured with one
label in twenty made wrong: `python -m benchmarks label_quality`."""
MAX_ITERATIONS = 100
TOLERANCE = 1e-3


def reduced(embeddings: Floats) -> Floats:
    """Reduce embeddings (N, E) to at most `DIMENSIONS` numbers each, float32 (N, D)."""
    most = min(DIMENSIONS, *embeddings.shape)
    if most == embeddings.shape[1]:
        return np.asarray(embeddings, np.float32)
    found = PCA(most, svd_solver="randomized", random_state=0).fit_transform(embeddings)
    return np.asarray(found, np.float32)


def judgeable(kinds: Integers, groups: Texts) -> npt.NDArray[np.bool_]:
    """Say of each of N frames whether its kind has a group for each fold (N)."""
    pairs = np.unique(np.stack([kinds.astype(np.str_), groups.astype(np.str_)]), axis=1)
    named, counts = np.unique(pairs[0], return_counts=True)
    return np.isin(kinds.astype(np.str_), named[counts >= FOLDS])


def out_of_fold(features: Floats, kinds: Integers, groups: Texts) -> npt.NDArray[np.float64]:
    """Return the probability of each kind for N frames, each by a model that saw none of its group.

    Args:
        features: Embeddings of the frames, or what `reduced` made of them: (N, D).
        kinds: Kind of each frame, 0 to K - 1 (N); each has at least `FOLDS` groups.
        groups: Group of each frame (N).

    Returns:
        float64 (N, K), each row of sum 1.

    Raises:
        ValueError: there are fewer than two kinds, or one has too few groups.
    """
    count = int(kinds.max(initial=0)) + 1
    if count < 2 or not judgeable(kinds, groups).all():  # noqa: PLR2004
        raise ValueError(f"Needs two kinds, and {FOLDS} groups of each.")
    found = np.zeros((len(kinds), count))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(features, kinds, groups):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS, tol=TOLERANCE),
        )
        model.fit(features[seen], kinds[seen])
        # Where one group has nearly all of a kind, those without it know nothing of that kind.
        found[np.ix_(unseen, model.classes_)] = model.predict_proba(features[unseen])
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float64)
