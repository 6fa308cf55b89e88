"""The picture of a classifier's answers: its confusion, as PNG."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from visionops_assets.vision.drawing import (
    GRID,
    INK,
    MUTED,
    new_figure,
    png,
    shortened,
    title,
)

BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#d6e6f5", "#6aa5d8", "#1d4e89"])
REDS = LinearSegmentedColormap.from_list("reds", ["#fbdfda", "#e8836f", "#b3261e"])
MAX_ANNOTATED_CLASSES = 25


def confusion(matrix: npt.NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Draw counts (C, C), a label per row: right answers in blue, wrong ones in red.

    Colour is the share of the row, so that rare classes show as well as common ones.
    """
    count = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(count, dtype=bool)
    side_in = min(11.0, 2.2 + 0.46 * count)
    figure = new_figure(side_in, side_in)
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_where(~right, shares), cmap=BLUES, vmin=0, vmax=1)
    # Few answers are wrong: a scale up to a half keeps a single mistake visible.
    wrong = np.ma.masked_where(right | (matrix == 0), shares)
    axes.imshow(wrong, cmap=REDS, vmin=0, vmax=0.5)
    if count <= MAX_ANNOTATED_CLASSES:
        _write_counts(axes, matrix, shares)
    names = [shortened(str(name), 18) for name in classes]
    upright = all(len(name) <= 3 for name in names)  # noqa: PLR2004 - as wide as a cell
    axes.set_xticks(range(count), names, rotation=0 if upright else 90)
    axes.set_yticks(range(count), names)
    axes.set_xlabel("answered", fontsize=8, color=MUTED)
    axes.set_ylabel("true", fontsize=8, color=MUTED)
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    title(axes, f"{correct:,} of {total:,} right")
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.spines[:].set_color(GRID)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    return png(figure)


def _write_counts(
    axes: Axes, matrix: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> None:
    for row, column in np.argwhere(matrix > 0):
        dark_at = 0.65 if row == column else 0.3
        colour = "white" if shares[row, column] > dark_at else INK
        axes.text(
            column, row, f"{matrix[row, column]:,}", ha="center", va="center",
            fontsize=8, color=colour,
        )  # fmt: skip
