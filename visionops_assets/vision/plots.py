"""Pictures for people: montages, counts, curves. Each function returns a PNG.

Not here: the look they share (`drawing.py`), and the pictures of monitoring.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from visionops_assets.vision.drawing import (
    BLUE,
    DOTS_PER_INCH,
    GRID,
    INK,
    MUTED,
    ORANGE,
    line,
    new_figure,
    png,
    shortened,
    tidy,
    title,
)
from visionops_assets.vision.preprocessing import Frame

if TYPE_CHECKING:  # importing torch takes seconds, and a montage does not need it
    from visionops_assets.vision.recipe import RoundResult

SMALLEST_ERROR = 1e-8


def montage(
    frames: Sequence[Frame], titles: Sequence[str] | None = None, columns: int | None = None
) -> bytes:
    """Lay frames, each uint8 (S, S, 3) RGB, out in a grid, titles below them.

    Raises:
        ValueError: there are no frames, or not one title per frame.
    """
    if not len(frames):
        raise ValueError("A montage needs at least one frame.")
    if titles is not None and len(titles) != len(frames):
        raise ValueError(f"{len(titles)} titles for {len(frames)} frames.")
    # More than nine would be wider than the window in which Dagster shows a picture.
    columns = columns or min(len(frames), 9, max(4, math.ceil(math.sqrt(1.6 * len(frames)))))
    rows = math.ceil(len(frames) / columns)
    cell_in, title_in, gap_in = 0.85, 0.18 if titles is not None else 0.0, 0.07
    width_in = columns * cell_in + (columns + 1) * gap_in
    row_in = cell_in + title_in + gap_in
    height_in = rows * row_in + gap_in
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH)
    for i, frame in enumerate(frames):
        row, column = divmod(i, columns)
        left = (gap_in + column * (cell_in + gap_in)) / width_in
        bottom = 1 - (gap_in + row * row_in + cell_in) / height_in
        axes = figure.add_axes((left, bottom, cell_in / width_in, cell_in / height_in))
        axes.imshow(frame, interpolation="nearest")
        axes.set_axis_off()
        if titles is not None:
            axes.text(
                0.5, -0.05, shortened(str(titles[i]), 15), transform=axes.transAxes,
                ha="center", va="top", fontsize=7, color=INK,
            )  # fmt: skip
    return png(figure)


def training_curves(history: Sequence["RoundResult"], score: str = "accuracy") -> bytes:
    """Draw loss and score by step, side by side; `score` is its name.

    Raises:
        ValueError: no rounds.
    """
    if not history:
        raise ValueError("There are no rounds to draw.")
    steps = [result.step for result in history]
    figure = new_figure(9.0, 3.4)
    loss_axes, score_axes = figure.subplots(1, 2)
    line(loss_axes, steps, [r.train_loss for r in history], BLUE, "training")
    line(loss_axes, steps, [r.validation_loss for r in history], ORANGE, "validation")
    loss_axes.set_ylim(bottom=0)
    title(loss_axes, "Loss, nats")
    loss_axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    scores = [r.validation_score for r in history]
    line(score_axes, steps, scores, ORANGE, "validation")
    score_axes.set_ylim(0, 1.02)
    score_axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    title(score_axes, f"Validation {score}, {max(scores):.1%} at best")
    for axes in (loss_axes, score_axes):
        axes.set_xlabel("step", fontsize=8, color=MUTED)
        axes.set_xlim(0, max(steps) * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes)
        axes.grid(axis="y", color=GRID)
    return png(figure)


def accuracy_over_time(
    times: Sequence[datetime],
    accuracies: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
) -> bytes:
    """Draw accuracies, 0..1, with their confidence limits as a band, over time.

    Raises:
        ValueError: there are no measurements, or the lengths differ.
    """
    if not len(times) == len(accuracies) == len(lows) == len(highs) or not len(times):
        raise ValueError("Give as many times as accuracies and limits, and at least one.")
    figure = new_figure(9.0, 3.2)
    axes = figure.add_subplot()
    days = np.asarray(date2num(times))  # type: ignore[no-untyped-call]
    axes.fill_between(days, lows, highs, color=BLUE, alpha=0.15, linewidth=0)
    line(axes, days.tolist(), accuracies, BLUE, "accuracy")
    axes.set_ylim(max(0.0, min(lows) - 0.05), 1.005)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    title(axes, f"Accuracy, {max(accuracies):.1%} at best")
    tidy(axes)
    axes.grid(axis="y", color=GRID)
    return png(figure)


def error_distributions(errors_by_name: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """Draw the cumulative distribution of the errors of images, 0..1, one line per name.

    Raises:
        ValueError: there are no errors.
    """
    if not errors_by_name or not all(len(errors) for errors in errors_by_name.values()):
        raise ValueError("Give at least one name, and at least one error per name.")
    figure = new_figure(9.0, 3.4)
    axes = figure.add_subplot()
    for (name, errors), colour in zip(errors_by_name.items(), cycle((BLUE, ORANGE)), strict=False):
        # A logarithmic axis has no place for an error of zero.
        ordered = np.maximum(np.sort(errors), SMALLEST_ERROR)
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        line(axes, ordered.tolist(), shares.tolist(), colour, f"{name}, at most {ordered[-1]:.2g}")
    axes.set_xscale("log")
    axes.set_xlim(SMALLEST_ERROR, 1)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("largest difference of a probability", fontsize=8, color=MUTED)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    title(axes, "Images within an error")
    tidy(axes)
    axes.grid(axis="y", color=GRID)
    return png(figure)
