"""Picks the frames to label next: those that teach most. Pure.

What is picked here says nothing of how often a model is right, since it was chosen: it trains
alone. Imports scikit-learn.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

UNSURE_PER_PICK = 10
"""Frames per pick among which diversity decides: the unsurest of all (Zhdanov, 2019)."""


@dataclass(frozen=True)
class Clusters:
    """Frames in groups that look alike: `of` says each one's cluster, int64 (N,).

    `typical` are rows, int64 (K,): the most central frame of each cluster, the largest cluster
    first. `of` counts in the same order.
    """

    of: Integers
    typical: Integers

    def members(self, cluster: int) -> Integers:
        """Return the rows of a cluster."""
        return np.flatnonzero(self.of == cluster)

    def proposals(self, labels: Mapping[int, str]) -> dict[int, str]:
        """Propose for each row without a label the one of its cluster, for a person to confirm.

        `labels` are those of some rows. A cluster whose labels differ proposes nothing.
        """
        said: defaultdict[int, set[str]] = defaultdict(set)
        for row, label in labels.items():
            said[int(self.of[row])].add(label)
        agreed = {cluster: next(iter(each)) for cluster, each in said.items() if len(each) == 1}
        return {
            row: agreed[int(cluster)]
            for row, cluster in enumerate(self.of)
            if int(cluster) in agreed and row not in labels
        }


def cluster(features: Floats, count: int, seed: int) -> Clusters:
    """Put N frames into `count` clusters by their embeddings, float32 (N, E).

    There are fewer clusters where there are fewer frames.

    Raises:
        ValueError: there is no frame, or no cluster.
    """
    if not len(features) or count < 1:
        raise ValueError("Clusters need frames, and at least one cluster.")
    found, centres = _means(features, min(count, len(features)), seed, None)
    by_size = [number for number, _ in Counter(found.tolist()).most_common()]
    place = {number: order for order, number in enumerate(by_size)}
    distances = np.linalg.norm(features - centres[found], axis=1)
    of = np.array([place[number] for number in found], np.int64)
    return Clusters(of=of, typical=_nearest(of, distances, len(by_size)))


def pick(features: Floats, probabilities: Floats, count: int, seed: int) -> Integers:
    """Pick up to `count` of N frames by uncertainty and diversity, the unsurest first.

    The unsurest frames are those whose two likeliest answers are closest. Among them clusters are
    made, in which unsure frames weigh more, and of each the most central one is picked.

    Args:
        features: Embeddings, float32 (N, E).
        probabilities: What a model says of each frame, float32 (N, C). With one class alone, or
            several at once, the distance from 1/2 counts.
        count: Frames to pick.
        seed: Decides ties and where clusters begin.
    """
    unsure = uncertainty(probabilities)
    asked = np.argsort(-unsure, kind="stable")[: UNSURE_PER_PICK * count]
    if len(asked) <= count:
        return asked
    weights = unsure[asked] + np.finfo(np.float32).eps
    of, centres = _means(features[asked], count, seed, weights)
    distances = np.linalg.norm(features[asked] - centres[of], axis=1)
    _, of = np.unique(of, return_inverse=True)
    picked = asked[_nearest(of, distances, int(of.max()) + 1)]
    # Empty clusters leave places, which the unsurest of the others take.
    left = [row for row in asked if row not in set(picked)][: count - len(picked)]
    rows = np.array([*picked, *left], np.int64)
    return rows[np.argsort(-unsure[rows], kind="stable")]


def uncertainty(probabilities: Floats) -> Floats:
    """Return how unsure each of N answers is, 0..1: one minus the lead of the likeliest class.

    Rows that do not add up to 1 are of several classes at once: the unsurest class counts.
    """
    is_one_of = probabilities.shape[1] > 1 and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
    if not is_one_of:
        return np.asarray(1 - 2 * np.abs(probabilities - 1 / 2).min(axis=1), np.float32)
    first_two = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(1 - (first_two[:, 1] - first_two[:, 0]), np.float32)


def _means(
    features: Floats, count: int, seed: int, weights: Floats | None
) -> tuple[Integers, Floats]:
    """Return the cluster of each frame (N), and the centre of each cluster (K, E)."""
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048)
    of = means.fit_predict(features, sample_weight=weights)
    return np.asarray(of, np.int64), np.asarray(means.cluster_centers_, np.float32)


def _nearest(of: Integers, distances: Floats, count: int) -> Integers:
    """Return the row of least distance of each of `count` clusters."""
    order = np.lexsort((distances, of))
    starts = np.searchsorted(of[order], np.arange(count))
    return np.asarray(order[starts], np.int64)
