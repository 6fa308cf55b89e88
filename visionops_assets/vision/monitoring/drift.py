"""Do new samples differ from a reference? Two-sample tests of embeddings, shares and numbers.

A small p-value says that two samples differ, not that the model is worse, and large samples give a
small one to the smallest difference. So each result also has a statistic, for its size.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy  # Parts of SciPy are imported when used: runs that need none do not wait.

from visionops_assets.vision.metrics import Indices

Points = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]

MIN_EXPECTED_COUNT = 5
"""Below it the chi-squared distribution is a poor approximation (W. G. Cochran, 1954)."""


@dataclass(frozen=True)
class TestResult:
    """The distance of two samples, and its probability if nothing has changed."""

    __test__: ClassVar[bool] = False
    """Tells pytest that this is not a class of tests."""
    statistic: float
    p_value: float


def mmd_test(
    reference: Points,
    current: Points,
    *,
    permutations: int = 200,
    seed: int = 0,
    max_points: int = 500,
) -> TestResult:
    """Compare two samples of vectors, (n, d) and (m, d), by their maximum mean discrepancy.

    The statistic is the unbiased estimate of MMD^2, which may fall below zero (A. Gretton et al.,
    "A kernel two-sample test", JMLR 13:723-773, 2012, equation 3), with the kernel exp(-|x - y|^2 /
    (2 s^2)), s^2 the median of the squared distances between all points. Its p-value comes from
    random reassignments of the points to the samples (`permutations`), and is exact up to their
    number: 1 / (permutations + 1) is the least. A larger sample is reduced to `max_points` points
    by chance. Equal seeds give equal results. Takes 0.1 s at 500 + 500.

    Raises:
        ValueError: a sample has fewer than two points, a shape is wrong, a number is not finite, or
            there are no permutations.
    """
    if permutations < 1:
        raise ValueError("A permutation test needs permutations.")
    _check_points(reference, current)
    rng = np.random.default_rng(seed)
    x, y = _drawn(reference, max_points, rng), _drawn(current, max_points, rng)
    kernel = _kernel(np.concatenate([x, y]))
    is_x = np.arange(len(kernel)) < len(x)
    membership = np.stack([is_x, *(rng.permutation(is_x) for _ in range(permutations))])
    observed, *permuted = _mmd_squared(kernel, membership.astype(np.float64))
    # Rounding must not decide between permutations that are really equal.
    as_large = int(np.sum(np.asarray(permuted) >= observed - 1e-12))
    return TestResult(float(observed), (1 + as_large) / (1 + permutations))


def _check_points(reference: Points, current: Points) -> None:
    if reference.ndim != 2 or current.ndim != 2 or reference.shape[1] != current.shape[1]:  # noqa: PLR2004
        raise ValueError(
            f"Points are (n, d) and (m, d) with one d, not {reference.shape} and {current.shape}."
        )
    if min(len(reference), len(current)) < 2:  # noqa: PLR2004 - unbiased estimates need pairs
        raise ValueError(f"{len(reference)} and {len(current)} points: a sample needs two.")
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise ValueError("A point has a coordinate that is not finite.")


def _drawn(points: Points, max_points: int, rng: np.random.Generator) -> Floats:
    if len(points) > max_points:
        points = points[rng.choice(len(points), max_points, replace=False)]
    return points.astype(np.float64)


def _kernel(points: Floats) -> Floats:
    """Return the kernel of all pairs, (n, n), with a diagonal of zeros."""
    distances = scipy.spatial.distance.pdist(points, "sqeuclidean")
    # If most points coincide the median is zero; any scale at which the others differ is fine.
    scale = float(np.median(distances)) or float(distances.mean()) or 1.0
    kernel: Floats = scipy.spatial.distance.squareform(np.exp(-distances / (2 * scale)))
    return kernel


def _mmd_squared(kernel: Floats, membership: Floats) -> Floats:
    """Return the unbiased MMD^2 of each division; a row of (k, n) has 1 for x and 0 for y."""
    n_x = membership[0].sum()
    n_y = len(kernel) - n_x
    total = kernel.sum()
    within_x = np.einsum("ki,ki->k", membership @ kernel, membership)
    touching_x = membership @ kernel.sum(axis=1)
    between = touching_x - within_x
    within_y = total - 2 * touching_x + within_x
    mmd: Floats = (
        within_x / (n_x * (n_x - 1)) + within_y / (n_y * (n_y - 1)) - 2 * between / (n_x * n_y)
    )
    return mmd


def class_share_test(reference_counts: Indices, current_counts: Indices) -> TestResult:
    """Compare the class counts of two samples, vectors (C,) in one order.

    The statistic is the total variation distance of the shares, 0..1: the share of items that would
    have to change class. The p-value is that of the chi-squared test of homogeneity, in which
    classes too rare for it count as one.

    Raises:
        ValueError: not two vectors of one length, a negative count, or a side without items.
    """
    counts = np.stack([reference_counts, current_counts]).astype(np.float64)
    totals = counts.sum(axis=-1, keepdims=True)
    if counts.ndim != 2 or counts.min(initial=0) < 0 or not (totals > 0).all():  # noqa: PLR2004
        raise ValueError("Give two vectors of counts, none negative, each with at least one item.")
    distance = 0.5 * float(np.abs(np.subtract(*(counts / totals))).sum())
    pooled = _pooled(counts)
    if pooled.shape[1] == 1:
        return TestResult(distance, 1.0)
    association = scipy.stats.chi2_contingency(pooled, correction=False)
    return TestResult(distance, float(association.pvalue))


def _pooled(counts: Floats) -> Floats:
    """Join the rare classes of (2, C), and the rarest other one if they are still too rare."""
    by_size = counts[:, np.argsort(-counts.sum(axis=0), kind="stable")]
    smaller_share = counts.sum(axis=1).min() / counts.sum()
    expected = by_size.sum(axis=0) * smaller_share
    common = int((expected >= MIN_EXPECTED_COUNT).sum())
    if common == len(expected):
        return by_size
    if common and expected[common:].sum() < MIN_EXPECTED_COUNT:
        common -= 1
    rest = by_size[:, common:].sum(axis=1, keepdims=True)
    return np.concatenate([by_size[:, :common], rest], axis=1)


def distribution_test(reference: Floats, current: Floats) -> TestResult:
    """Compare two samples of a number, (n,) and (m,), by the two-sample Kolmogorov-Smirnov test.

    The statistic is the largest difference between the two distribution functions, 0..1. The
    p-value is the asymptotic one; ties make it too large rather than too small.

    Raises:
        ValueError: a side without numbers, or a number not finite.
    """
    if not (len(reference) and len(current)):
        raise ValueError(f"{len(reference)} and {len(current)} numbers cannot be compared.")
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise ValueError("A number is not finite.")
    result = scipy.stats.ks_2samp(reference, current, method="asymp")
    return TestResult(float(result.statistic), float(result.pvalue))


def holm(p_values: Floats) -> Floats:
    """Correct several p-values, (k,), so that one level holds for all of them.

    The chance of any false finding then stays below the level, however the tests depend on each
    other (S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6:65-70, 1979).
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted
