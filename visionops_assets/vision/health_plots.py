"""Pictures of servers and the queue over time. Each function returns a PNG."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import cycle

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import EngFormatter

from visionops_assets.vision.drawing import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    RED,
    line,
    new_figure,
    png,
    tidy,
)
from visionops_assets.vision.drawing import title as write_title

_COLOURS = (BLUE, ORANGE, RED, "#2f855a", "#6b46c1", "#4a5568")


def lines_over_time(
    heading: str,
    unit: str,
    times: Sequence[datetime],
    values: Mapping[str, Sequence[float | None]],
) -> bytes:
    """Draw one line per name over time; a value of None breaks the line.

    Raises:
        ValueError: there are no lines, or a name does not have one value per time.
    """
    if not times or not values or any(len(v) != len(times) for v in values.values()):
        raise ValueError("Give at least one time and one name, and one value per name and time.")
    figure = new_figure(9.0, 3.2)
    axes = figure.add_subplot()
    days = np.asarray(date2num(times))  # type: ignore[no-untyped-call]
    for (name, series), colour in zip(values.items(), cycle(_COLOURS), strict=False):
        line(axes, days.tolist(), [np.nan if v is None else v for v in series], colour, name)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(EngFormatter(unit))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    # Beside the title, where there are no lines.
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, ncols=4,
        loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2,
    )  # fmt: skip
    write_title(axes, heading)
    tidy(axes)
    axes.grid(axis="y", color=GRID)
    return png(figure)
