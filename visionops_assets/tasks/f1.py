"""F1 of named classes, from counts per image and class. Pure."""

import numpy as np
import numpy.typing as npt

from visionops_assets.vision.metrics import Floats

Flags = npt.NDArray[np.bool_]

MACRO_F1, MICRO_F1 = "macro_f1", "micro_f1"


def counts_of(truth: Flags, named: Flags) -> Floats:
    """Count per image and class: (N, 3, C), right names, wrong names, and missing names."""
    parts = [truth & named, ~truth & named, truth & ~named]
    return np.stack(parts, axis=1).astype(np.float64)


def macro_f1(counts: Floats) -> Floats:
    """Return the mean F1 of the classes that are shown or named, for counts (..., 3, C).

    It is 1 where there is no such class: then nothing was missed.
    """
    right, wrong, missing = np.moveaxis(counts, -2, 0)
    whole = 2 * right + wrong + missing
    known = whole > 0
    f1 = np.divide(2 * right, whole, out=np.zeros_like(whole), where=known)
    classes = known.sum(axis=-1)
    mean = np.divide(f1.sum(axis=-1), classes, out=np.ones(classes.shape), where=classes > 0)
    return np.asarray(mean)


def micro_f1(counts: Floats) -> Floats:
    """Return the F1 of all names together, for counts (..., 3, C); see `macro_f1`."""
    return macro_f1(counts.sum(axis=-1, keepdims=True))
