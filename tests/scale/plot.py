"""A picture of a run: media, memory and response times over its minutes."""

import io
from collections.abc import Sequence

from tests.scale.watching import Sample
from visionops_assets.vision.drawing import BLUE, MUTED, ORANGE, line, new_figure, tidy, title

SERVERS_SHOWN = 6
COLOURS = (BLUE, ORANGE, "#2f855a", "#805ad5", "#b7791f", MUTED)


def plot(samples: Sequence[Sample], ticks: Sequence[tuple[float, float]]) -> bytes:
    """Draw a run as PNG."""
    start_s = samples[0].time_s
    minutes = [(each.time_s - start_s) / 60 for each in samples]
    figure = new_figure(9, 8)
    media, memory, times = figure.subplots(3, 1, sharex=True)
    title(media, "media: acknowledged and processed")
    line(media, minutes, [each.stored for each in samples], ORANGE, "acknowledged")
    line(media, minutes, [each.processed for each in samples], BLUE, "processed")
    title(memory, "memory of the largest servers, MB")
    largest = sorted(
        {name for each in samples for name in each.memory_mb},
        key=lambda name: -max(each.memory_mb.get(name, 0.0) for each in samples),
    )
    for name, colour in zip(largest[:SERVERS_SHOWN], COLOURS, strict=False):
        line(memory, minutes, [each.memory_mb.get(name, 0.0) for each in samples], colour, name)
    title(times, "Dagster's pages and ticks of media_events, ms")
    line(times, minutes, [each.page_ms for each in samples], BLUE, "pages")
    began = [((at_s - start_s) / 60, ms) for at_s, ms in ticks if at_s >= start_s]
    line(times, [at for at, _ in began], [ms for _, ms in began], ORANGE, "ticks")
    times.set_xlabel("minutes", fontsize=8, color=MUTED)
    for axes in (media, memory, times):
        tidy(axes)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
