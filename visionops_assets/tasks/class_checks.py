"""Whether the frames of a snapshot suffice for each class: what tasks with classes share. Pure."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visionops_assets.tasks.base import Labels

Flags = npt.NDArray[np.bool_]


def sides_of_classes(
    labels: Sequence[Labels], is_holdout: Flags
) -> dict[str, tuple[int, int, int, int]]:
    """Count the frames (N) that show each class, and those that do not.

    Returns:
        By class, in order: training frames with it, holdout frames with it, and both without it.
    """
    with_it = {True: Counter[str](), False: Counter[str]()}
    for each, held in zip(labels, is_holdout.tolist(), strict=True):
        with_it[held].update(set(each))
    held_frames = int(is_holdout.sum())
    train_frames = len(labels) - held_frames
    found = {}
    for name in sorted(with_it[True] | with_it[False]):
        train, held = with_it[False][name], with_it[True][name]
        found[name] = (train, held, train_frames - train, held_frames - held)
    return found
