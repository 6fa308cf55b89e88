"""How many labels picked frames save, against frames drawn by chance.

Needs no running stack. A logistic regression on embeddings of the pretrained network learns from
more and more labels: of frames drawn by chance, or of the most typical ones first and then of those
that `vision/picking.py` picks. The number of picked labels that reach the accuracy of twice as many
drawn ones would be half of them, at best; a ratio of 2 is the goal.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.garments import Pictures, pictures
from benchmarks.measure import Figure, Question, figure
from visionops_assets.settings import Settings
from visionops_assets.vision.embedding import embed
from visionops_assets.vision.out_of_fold import reduced
from visionops_assets.vision.picking import cluster, pick

GARMENTS = 4_000
SEEDS = range(10)
PRETRAINED_PX = 64
TEST_SHARE = 0.25
FIRST, STEP, DRAWN = 20, 20, 400
"""Labels to begin with, labels per round, and labels drawn by chance whose accuracy is the aim."""
FEW = 40
"""Labels before there is a model."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def measure(_settings: Settings) -> list[Figure]:
    """Count the labels that reach the accuracy of drawn ones, by ten seeds per set."""
    return [each for found in pictures(GARMENTS) for each in _of(found)]


def _of(found: Pictures) -> list[Figure]:
    features = reduced(embed(list(found.frames), PRETRAINED_PX))
    labels, first = [], []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(features))
        held = round(TEST_SHARE * len(order))
        race = _Race(features, found.classes, order[held:], order[:held], seed)
        labels.append((race.picked_to(race.accuracy(race.pool[:DRAWN])), float(DRAWN)))
        typical = race.pool[cluster(features[race.pool], FEW, seed).typical]
        first.append((100 * race.accuracy(typical), 100 * race.accuracy(race.pool[:FEW])))
    return [
        figure(
            Question(
                f"labels to the accuracy of {DRAWN} drawn ones, {found.name}",
                *("labels", "drawn by chance", 2.0, "less"),
            ),
            labels,
        ),
        figure(
            Question(f"accuracy by {FEW} labels, {found.name}", "%", "drawn by chance", 1.0), first
        ),
    ]


class _Race:
    """Frames to label, `pool`, and others to measure the accuracy on: rows of `features`."""

    def __init__(
        self, features: Floats, classes: Integers, pool: Integers, test: Integers, seed: int
    ) -> None:
        self.pool = pool
        self._features, self._classes, self._test, self._seed = features, classes, test, seed

    def accuracy(self, labelled: Integers) -> float:
        """Return the accuracy, 0..1, of what is learned from some labels."""
        return self._right(self._learn(labelled))

    def picked_to(self, accuracy: float) -> float:
        """Return the labels, in steps of `STEP`, from which a picked set is that accurate."""
        return float(next(len(rows) for rows, reached in self._rounds() if reached >= accuracy))

    def _rounds(self) -> Iterator[tuple[Integers, float]]:
        """Yield the picked rows and the accuracy with them, from `FIRST` to the whole pool."""
        labelled = self.pool[cluster(self._features[self.pool], FIRST, self._seed).typical]
        while True:
            model = self._learn(labelled)
            left = np.setdiff1d(self.pool, labelled)
            yield labelled, self._right(model) if len(left) else 1.0
            known = model.predict_proba(self._features[left]).astype(np.float32)
            labelled = np.concatenate(
                [labelled, left[pick(self._features[left], known, STEP, self._seed)]]
            )

    def _learn(self, labelled: Integers) -> LogisticRegression:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=100, tol=1e-3))
        return model.fit(self._features[labelled], self._classes[labelled])

    def _right(self, model: LogisticRegression) -> float:
        answers = model.predict(self._features[self._test])
        return float((answers == self._classes[self._test]).mean())
