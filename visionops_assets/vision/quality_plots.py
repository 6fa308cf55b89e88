"""The picture of frames' quality, source by source."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from visionops_assets.vision.drawing import (
    BLUE,
    INK,
    MUTED,
    new_figure,
    png,
    shortened,
    tidy,
    title,
)
from visionops_assets.vision.monitoring.quality import FRAME_MEASURES

MOST_SOURCES = 12
OTHERS = "all others"


def quality_by_source(frames: pd.DataFrame) -> bytes:
    """Draw how each measure is spread over the frames of each source, as PNG.

    `frames` has the columns `source` and `FRAME_MEASURES`, and at least one row. A bar holds half
    of the frames, a line all but one in twenty. The sources with most frames have rows of their
    own.
    """
    counts = frames["source"].value_counts()
    own = list(counts.index[: MOST_SOURCES if len(counts) <= MOST_SOURCES else MOST_SOURCES - 1])
    named = frames["source"].where(frames["source"].isin(own), OTHERS)
    names = [*own, *([OTHERS] if len(counts) > len(own) else [])]
    figure = new_figure(2.1 * len(FRAME_MEASURES) + 1.2, 0.9 + 0.32 * len(names))
    panels = figure.subplots(1, len(FRAME_MEASURES), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, FRAME_MEASURES, strict=True):
        _spread(axes, [frames.loc[named == name, measure] for name in names])
        title(axes, measure)
        axes.set_ylim(len(names) - 0.5, -0.5)
    labels = [f"{shortened(name, 24)}  {int((named == name).sum()):,}" for name in names]
    panels[0].set_yticks(range(len(names)), labels, color=INK)
    return png(figure)


def _spread(axes: Axes, values: Sequence["pd.Series[float]"]) -> None:
    tidy(axes)
    for row, of_source in enumerate(values):
        low, left, middle, right, high = of_source.quantile([0.025, 0.25, 0.5, 0.75, 0.975])
        axes.plot([low, high], [row, row], color=MUTED, linewidth=1.2)
        axes.plot([left, right], [row, row], color=BLUE, linewidth=6, solid_capstyle="butt")
        axes.plot([middle], [row], "|", color="white", markersize=7)
