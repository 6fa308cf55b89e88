"""Chooses frames for validation, and the order of the others. Pure, fixed by the generator."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visionops_assets.tasks.splitting import validation_groups

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


def split_validation(
    labels: Labels, groups: Sequence[str], rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Split N frames into rows to train on and rows to validate on, without splitting groups.

    Each class gives a tenth of its groups, or up to a fifth to reach `VALIDATION_GROUPS`: a tenth
    of few frames measures nothing.

    Raises:
        ValueError: no class has three groups, so none can spare one.
    """
    label_of = dict(zip(groups, labels.tolist(), strict=True))
    chosen: set[str] = set()
    for label in sorted(set(label_of.values())):
        of_label = sorted(group for group, its in label_of.items() if its == label)
        count = validation_groups(len(of_label))
        chosen.update(rng.permutation(of_label)[:count].tolist())
    if not chosen:
        raise ValueError("Training needs a class with three groups or more, to validate on one.")
    is_chosen = np.array([group in chosen for group in groups])
    return np.flatnonzero(~is_chosen), np.flatnonzero(is_chosen)


class ClassSampler:
    """Draws batches in which rare classes count for more than their share.

    A class is drawn in proportion to the square root of its frames (Mahajan et al., "Exploring the
    Limits of Weakly Supervised Pretraining", 2018). In proportion to the frames themselves, a rare
    class is never learned. Drawn equally often, the network forgets how common the common one is,
    which costs accuracy. Within a class every frame has its turn before one comes again.
    """

    def __init__(self, labels: Labels, rng: np.random.Generator) -> None:
        present, counts = np.unique(labels, return_counts=True)
        self._rng = rng
        self._rows = [np.flatnonzero(labels == label) for label in present]
        self._waiting = [np.empty(0, np.int64) for _ in present]
        self._shares = np.sqrt(counts) / np.sqrt(counts).sum()

    def batch(self, size: int) -> Rows:
        """Return the positions of the next frames to train on (size), in any order."""
        counts = self._rng.multinomial(size, self._shares)
        return np.concatenate([self._next(which, count) for which, count in enumerate(counts)])

    def _next(self, which: int, count: int) -> Rows:
        while len(self._waiting[which]) < count:
            again = self._rng.permutation(self._rows[which])
            self._waiting[which] = np.concatenate([self._waiting[which], again])
        taken, self._waiting[which] = np.split(self._waiting[which], [count])
        return taken
