"""The labels of a snapshot that are likely wrong, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.resources.columns import TEXT, columns

DOUBTS = columns(
    ("frame_id", TEXT, "Frame whose label is doubted."),
    ("media_id", TEXT, "File it was decoded from."),
    ("split", TEXT, "Its side of the snapshot: `train` or `holdout`."),
    ("label", TEXT, "Label that it has."),
    ("likely_label", TEXT, "Label that it likely should have."),
    ("score", "float64", "Probability of the label that it has, 0..1; the least comes first."),
)


@dataclass(frozen=True)
class Doubted:
    """The labels of a snapshot that are likely wrong.

    `table` has the columns of `DOUBTS`, the most doubtful first; `frames`, uint8 (n, S, S, 3), are
    those of its first n rows. `judged_frames` are all whose labels were judged.
    """

    table: pd.DataFrame
    frames: Sequence[npt.NDArray[np.uint8]]
    judged_frames: int
