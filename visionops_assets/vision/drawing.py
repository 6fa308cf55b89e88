"""The look that all pictures share: colours, figures, titles, lines, and saving as PNG.

Pictures are drawn on figures of their own, never through pyplot, whose state is global and grows.
"""

import io
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DOTS_PER_INCH = 130
INK, MUTED, GRID = "#1f2933", "#66788a", "#e4e9ee"
BLUE, ORANGE, RED = "#2b6cb0", "#dd6b20", "#b3261e"
NUMBER_WIDTH = 0.025
"""Least distance of two numbers, as a share of the axes' width: nearer ones would touch."""


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with room beside its axes."""
    layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.12)
    return Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH, layout=layout)


def title(axes: Axes, text: str) -> None:
    """Write a title above the left corner, where reading begins."""
    axes.set_title(text, loc="left", fontsize=10, color=INK, pad=8)


def tidy(axes: Axes) -> None:
    """Remove lines without data: ticks, and all of the frame but its lower line."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    axes.set_axisbelow(True)
    axes.xaxis.get_offset_text().set(fontsize=8, color=MUTED)


def line(axes: Axes, x: Iterable[float], y: Sequence[float], colour: str, label: str) -> None:
    """Draw a line whose last point is marked."""
    xs = list(x)
    axes.plot(xs, y, color=colour, linewidth=1.8, label=label, solid_capstyle="round")
    axes.plot(xs[-1:], y[-1:], "o", color=colour, markersize=4)


def limit_line(axes: Axes, y: float, name: str) -> None:
    """Draw a dashed limit across the axes, with its name to the right of them."""
    axes.axhline(y, color=RED, linewidth=1.2, linestyle=(0, (5, 3)))
    axes.annotate(
        name, (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0),
        textcoords="offset points", va="center", fontsize=8, color=RED,
    )  # fmt: skip


def numbered_lines(axes: Axes, places: Sequence[float]) -> None:
    """Draw a vertical line at each place, ascending, numbered on top; near ones a step higher."""
    low, high = axes.get_xlim()
    low, high = min([low, *places]), max([high, *places])
    axes.set_xlim(low, high)
    first_row_ends_at = low
    for number, place in enumerate(places, start=1):
        row = 0 if place >= first_row_ends_at else 1
        if row == 0:
            first_row_ends_at = place + NUMBER_WIDTH * (high - low)
        axes.axvline(place, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        axes.annotate(
            str(number), (place, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 8 + 14 * row), textcoords="offset points", ha="center", va="center",
            fontsize=7, color="white", bbox={"boxstyle": "circle,pad=0.25", "fc": INK, "ec": INK},
        )  # fmt: skip


def numbered_list(axes: Axes, texts: Sequence[str]) -> None:
    """Write numbered texts into the axes, in two columns, without anything else."""
    axes.set_axis_off()
    lines = (len(texts) + 1) // 2
    for index, text in enumerate(texts):
        column, row = divmod(index, lines)
        axes.text(
            0.5 * column, 1 - (row + 0.5) / lines, f"{index + 1}  {shortened(text, 70)}",
            transform=axes.transAxes, va="center", fontsize=8, color=INK,
        )  # fmt: skip


def shortened(text: str, most: int) -> str:
    """Cut a text to a number of characters; the last one is an ellipsis if it was longer."""
    return text if len(text) <= most else text[: most - 1] + "…"


def png(figure: Figure) -> bytes:
    """Render a figure on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()
