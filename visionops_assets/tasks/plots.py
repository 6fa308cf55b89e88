"""Pictures that tasks with classes share. Each function returns a PNG."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from visionops_assets.tasks.class_scores import Counts
from visionops_assets.vision.drawing import (
    BLUE,
    GRID,
    ORANGE,
    RED,
    new_figure,
    png,
    shortened,
    tidy,
    title,
)


def score_bars(table: pd.DataFrame) -> bytes:
    """Draw precision, recall and F1 of each class with their limits, side by side.

    `table` is that of `Judging.scores`. Macro averages are drawn as lines. A class without a value
    is left empty.

    Raises:
        ValueError: the table has no classes.
    """
    by_class = table[table["class"] != ""]
    if by_class.empty:
        raise ValueError("The table has no classes to draw.")
    names = by_class["class"].drop_duplicates().tolist()
    figure = new_figure(9.0, 1.1 + 0.3 * len(names))
    panels = figure.subplots(1, 3, sharey=True)
    lowest = max(0.0, float(np.floor(by_class["low"].min(skipna=True) * 10 - 0.5) / 10))
    for axes, measure in zip(panels, ("precision", "recall", "f1"), strict=True):
        rows = by_class[by_class["measure"] == measure].set_index("class").loc[names]
        macro = table[(table["measure"] == measure) & (table["class"] == "")].iloc[0]
        _score_panel(axes, rows, float(macro["value"]))
        axes.set_xlim(lowest, 1 + 0.04 * (1 - lowest))
        heading = "F1" if measure == "f1" else measure.capitalize()
        title(axes, f"{heading}, {macro['value']:.1%} on average")
    supports = by_class[by_class["measure"] == "recall"]["support"]
    ticks = [
        f"{shortened(name, 22)} ({count:,})" for name, count in zip(names, supports, strict=True)
    ]
    panels[0].set_yticks(range(len(names)), ticks)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    return png(figure)


def _score_panel(axes: Axes, rows: pd.DataFrame, macro: float) -> None:
    value, low, high = (rows[column].to_numpy(np.float64) for column in ("value", "low", "high"))
    at = np.arange(len(rows))
    axes.axvline(macro, color=ORANGE, linewidth=1.2, zorder=0)
    axes.hlines(at, low, high, color=BLUE, alpha=0.3, linewidth=6, capstyle="round")
    axes.plot(value, at, "o", color=BLUE, markersize=5)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    tidy(axes)
    axes.grid(axis="x", color=GRID)


def errors_of_classes(counts: Counts, classes: Sequence[str]) -> bytes:
    """Draw how often each class was named rightly, named wrongly and missed, one bar per class."""
    right, answered, support = counts
    figure = new_figure(9.0, 1.1 + 0.3 * len(classes))
    axes = figure.add_subplot()
    at = np.arange(len(classes))
    begun = np.zeros(len(classes))
    parts = (("right", right, BLUE), ("missed", support - right, ORANGE))
    for name, count, colour in (*parts, ("wrong", answered - right, RED)):
        axes.barh(at, count, left=begun, color=colour, label=name)
        begun = begun + count
    axes.set_yticks(at, [shortened(str(name), 22) for name in classes])
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.legend(frameon=False, fontsize=8)
    tidy(axes)
    title(axes, f"{int(right.sum()):,} of {int(support.sum()):,} named")
    return png(figure)
