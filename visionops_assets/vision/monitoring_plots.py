"""Pictures of monitoring: evidence, drift and timelines. Each function returns a PNG."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from visionops_assets.vision.drawing import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    RED,
    limit_line,
    line,
    new_figure,
    numbered_lines,
    numbered_list,
    png,
    shortened,
    tidy,
    title,
)
from visionops_assets.vision.metrics import Flags, wilson_interval
from visionops_assets.vision.monitoring.drift import TestResult

Floats = npt.NDArray[np.float64]
Points = Sequence[tuple[float, float]]

ANSWERS_PER_POINT = 50
SMALLEST_P_VALUE = 1e-4
LEVEL = 0.05
BINS = 40


class TimelineEvent(NamedTuple):
    """An event at a place of the horizontal axis."""

    at: float
    text: str


def evidence_over_labels(
    log_evidence: Floats,
    log_threshold: float,
    errors: Flags | None = None,
    min_accuracy: float | None = None,
) -> bytes:
    """Draw the evidence of fallen accuracy after each label, as natural logarithms (n,).

    With `errors`, bool (n,), True where an answer was wrong, the accuracy of each 50 labels and its
    Wilson limits are drawn above, and `min_accuracy` is marked there.

    Raises:
        ValueError: no labels, or not one error each.
    """
    if not len(log_evidence):
        raise ValueError("There are no labels to draw.")
    if errors is not None and len(errors) != len(log_evidence):
        raise ValueError(f"{len(errors)} errors for {len(log_evidence)} labels.")
    rows = 1 if errors is None else 2
    figure = new_figure(9.0, 2.6 * rows + 0.4)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    if errors is not None:
        _accuracy_of_labels(panels[0], errors, min_accuracy)
    axes = panels[-1]
    _evidence(axes, log_evidence, log_threshold)
    axes.set_xlabel("labels", fontsize=8, color=MUTED)
    axes.set_xlim(0, len(log_evidence) * 1.01 + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return png(figure)


def _evidence(axes: Axes, log_evidence: Floats, log_threshold: float) -> None:
    labels = np.arange(1, len(log_evidence) + 1)
    axes.plot(labels, log_evidence, color=BLUE, linewidth=1.6, solid_capstyle="round")
    limit_line(axes, log_threshold, "alarm")
    axes.plot(labels[-1], log_evidence[-1], "o", color=BLUE, markersize=4)
    reached = np.flatnonzero(log_evidence >= log_threshold)
    text = f"no alarm in {len(log_evidence):,} labels"
    if len(reached):
        at = int(reached[0])
        axes.plot(labels[at], log_evidence[at], "o", color=RED, markersize=6)
        text = f"alarm after {at + 1:,} labels"
    lowest = min(0.0, float(log_evidence.min()))
    axes.set_ylim(lowest - 0.5, max(log_threshold, float(log_evidence.max())) * 1.12)
    title(axes, f"Evidence of too low an accuracy (log), {text}")
    tidy(axes)
    axes.grid(axis="y", color=GRID)


def _accuracy_of_labels(axes: Axes, errors: Flags, min_accuracy: float | None) -> None:
    starts = np.arange(0, len(errors), ANSWERS_PER_POINT)
    counts = np.diff(np.append(starts, len(errors)))
    right = counts - np.add.reduceat(errors.astype(np.int64), starts)
    limits = [wilson_interval(int(k), int(n)) for k, n in zip(right, counts, strict=True)]
    low, high = np.array(limits).T
    shares, middles = right / counts, starts + counts / 2
    axes.fill_between(middles, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(middles, shares, "o-", color=BLUE, linewidth=1.6, markersize=3.5)
    if min_accuracy is not None:
        limit_line(axes, min_accuracy, "limit")
    axes.set_ylim(max(0.0, min(float(low.min()), min_accuracy or 1.0) - 0.05), 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    title(axes, f"Accuracy of each {ANSWERS_PER_POINT} labels, {1 - errors.mean():.1%} of all")
    tidy(axes)
    axes.grid(axis="y", color=GRID)


def drift_overview(results: Mapping[str, TestResult], level: float = LEVEL) -> bytes:
    """Draw the p-value and the size of each test, one row per test, those below `level` in red.

    P-values are drawn as they are: correct them first (`holm`).

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("There are no test results to draw: give at least one.")
    names = [shortened(name, 28) for name in results]
    at = np.arange(len(names))
    p_values = np.array([result.p_value for result in results.values()])
    colours = [RED if p_value <= level else BLUE for p_value in p_values]
    figure = new_figure(9.0, 1.1 + 0.32 * len(names))
    evidence_axes, size_axes = figure.subplots(1, 2, sharey=True)
    strength = -np.log10(np.maximum(p_values, SMALLEST_P_VALUE))
    bars = evidence_axes.barh(at, strength, height=0.62, color=colours)
    written = [f"{p:.3f}" if p >= 1e-3 else "< 0.001" for p in p_values]  # noqa: PLR2004
    evidence_axes.bar_label(bars, written, padding=4, fontsize=8, color=INK)
    evidence_axes.axvline(-np.log10(level), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    evidence_axes.set_xlim(0, -np.log10(SMALLEST_P_VALUE) * 1.15)
    decades = np.arange(0, 5)
    evidence_axes.set_xticks(decades, [f"{10.0**-d:g}" for d in decades])
    found = int((p_values <= level).sum())
    title(evidence_axes, f"P-value, {found} of {len(names)} at most {level:g}")
    sizes = [result.statistic for result in results.values()]
    bars = size_axes.barh(at, np.maximum(sizes, 0), height=0.62, color=colours, alpha=0.55)
    size_axes.bar_label(bars, [f"{size:.3g}" for size in sizes], padding=4, fontsize=8, color=INK)
    size_axes.set_xlim(0, max(0.1, *sizes) * 1.2)
    title(size_axes, "Size of the difference")
    for axes in (evidence_axes, size_axes):
        tidy(axes)
        axes.grid(axis="x", color=GRID)
    evidence_axes.set_yticks(at, names)
    evidence_axes.set_ylim(len(names) - 0.4, -0.6)
    return png(figure)


def distribution_shift(reference: Floats, current: Floats, name: str) -> bytes:
    """Draw two samples of a number, (n,) and (m,), as shares by bin, over each other.

    Raises:
        ValueError: a sample is empty.
    """
    if not (len(reference) and len(current)):
        raise ValueError("An empty sample has no distribution: give at least one number each.")
    figure = new_figure(9.0, 3.0)
    axes = figure.add_subplot()
    both = np.concatenate([reference, current])
    edges = np.histogram_bin_edges(both, BINS).tolist()
    for sample, colour, label in ((reference, BLUE, "reference"), (current, ORANGE, "current")):
        weights = np.full(len(sample), 1 / len(sample))
        text = f"{label}, median {np.median(sample):.3g}, {len(sample):,} items"
        axes.hist(sample, edges, weights=weights, color=colour, alpha=0.3)
        axes.hist(
            sample, edges, weights=weights, color=colour, histtype="step", linewidth=1.6, label=text
        )
        axes.axvline(float(np.median(sample)), color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    title(axes, name)
    tidy(axes)
    axes.grid(axis="y", color=GRID)
    return png(figure)


def timeline(
    events: Sequence[TimelineEvent],
    series: Mapping[str, Points],
    *,
    x_label: str = "seconds",
    limit: float | None = None,
) -> bytes:
    """Draw accuracies, 0..1, each a name with points (x, accuracy), and events.

    Events, in `x_label` as well, are numbered lines, with their texts in a list below.

    Raises:
        ValueError: no points at all.
    """
    drawn = {name: points for name, points in series.items() if len(points)}
    if not drawn:
        raise ValueError("A timeline needs at least one point.")
    ordered = sorted(events, key=lambda event: event.at)
    lines = (len(ordered) + 1) // 2
    figure = new_figure(10.0, 3.6 + 0.22 * lines)
    axes, list_axes = figure.subplots(2, 1, height_ratios=[3.4, max(0.01, 0.22 * lines)])
    for (name, points), colour in zip(drawn.items(), cycle((BLUE, ORANGE, MUTED)), strict=False):
        xs, ys = zip(*points, strict=True)
        line(axes, xs, ys, colour, name)
    if limit is not None:
        limit_line(axes, limit, "limit")
    accuracies = [accuracy for points in drawn.values() for _, accuracy in points]
    lowest = min([*accuracies, limit if limit is not None else 1.0])
    axes.set_ylim(max(0.0, lowest - 0.06), 1.01)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel(x_label, fontsize=8, color=MUTED)
    tidy(axes)
    axes.grid(axis="y", color=GRID)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    axes.set_title("Accuracy", loc="left", fontsize=10, color=INK, pad=30 if ordered else 8)
    numbered_lines(axes, [event.at for event in ordered])
    numbered_list(list_axes, [event.text for event in ordered])
    return png(figure)
