"""What a run came to: `build/scale-media.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from tests.scale.watching import Sample

LEAST_PER_MINUTE = 8_000
MOST_COST_RATIO = 1.2
MOST_GROWTH = 1.2
MOST_GROWTH_MB = 32.0
"""Less is no growth: a server of 30 MB may hold a few more."""
MOST_SLOWER = 1.5
MOST_SLOWER_MS = 100.0
"""Less is no slowing down: nobody sees it."""


@dataclass(frozen=True)
class Part:
    """A part of a run, with nothing left to process at its ends: its media, and its samples.

    The first sample was taken before, and the last one after.
    """

    media: int
    samples: Sequence[Sample]

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.samples[-1].time_s - self.samples[0].time_s

    @property
    def cost_ms(self) -> float:
        """Return the CPU milliseconds of all servers per media file."""
        first, last = (sum(end.cpu_s.values()) for end in (self.samples[0], self.samples[-1]))
        return 1_000 * (last - first) / self.media

    @property
    def peak_mb(self) -> Mapping[str, float]:
        """Return the most memory that each server had."""
        servers = {name for sample in self.samples for name in sample.memory_mb}
        return {
            name: max(sample.memory_mb.get(name, 0.0) for sample in self.samples)
            for name in sorted(servers)
        }

    @property
    def page_ms(self) -> float:
        """Return the median time of Dagster's pages."""
        return median(sample.page_ms for sample in self.samples)

    def ticks_ms(self, ticks: Sequence[tuple[float, float]]) -> float:
        """Return the median time of the ticks of a sensor that began within it."""
        first_s, last_s = self.samples[0].time_s, self.samples[-1].time_s
        return median(ms for began_s, ms in ticks if first_s <= began_s <= last_s)


@dataclass
class Figures:
    """Rate, cost, memory and response times. `missed` names the goals that were not reached."""

    media: int
    seconds: float
    media_per_minute: float
    cost_ms_first: float
    cost_ms_last: float
    cost_ratio_last_to_first: float
    peak_mb_by_server: Mapping[str, float]
    peak_mb_first: Mapping[str, float]
    peak_mb_last: Mapping[str, float]
    page_ms_first: float
    page_ms_last: float
    tick_ms_first: float
    tick_ms_last: float
    missed: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return all figures by name."""
        return asdict(self)


def figures_of(parts: Sequence[Part], ticks: Sequence[tuple[float, float]]) -> Figures:
    """Compare the last part with the first, which has the same work, and judge by the goals."""
    first, last = parts[0], parts[-1]
    count, seconds = sum(part.media for part in parts), sum(part.seconds for part in parts)
    whole = Part(count, [sample for part in parts for sample in part.samples])
    figures = Figures(
        media=count,
        seconds=round(seconds, 1),
        media_per_minute=round(60 * count / seconds),
        cost_ms_first=round(first.cost_ms, 2),
        cost_ms_last=round(last.cost_ms, 2),
        cost_ratio_last_to_first=round(last.cost_ms / first.cost_ms, 3),
        peak_mb_by_server=_rounded(whole.peak_mb),
        peak_mb_first=_rounded(first.peak_mb),
        peak_mb_last=_rounded(last.peak_mb),
        page_ms_first=round(first.page_ms, 1),
        page_ms_last=round(last.page_ms, 1),
        tick_ms_first=round(first.ticks_ms(ticks), 1),
        tick_ms_last=round(last.ticks_ms(ticks), 1),
    )
    figures.missed = list(missed(figures))
    return figures


def missed(figures: Figures) -> Sequence[str]:
    """Name the goals that were not reached."""
    grown = [
        name
        for name, mb in figures.peak_mb_last.items()
        if not _is_flat(figures.peak_mb_first.get(name, 0.0), mb)
    ]
    judged = {
        f"at least {LEAST_PER_MINUTE:,} per minute": figures.media_per_minute >= LEAST_PER_MINUTE,
        "CPU time per media": figures.cost_ratio_last_to_first <= MOST_COST_RATIO,
        f"memory of {', '.join(grown)}": not grown,
        "Dagster's pages": _is_as_quick(figures.page_ms_first, figures.page_ms_last),
        "ticks of sensors": _is_as_quick(figures.tick_ms_first, figures.tick_ms_last),
    }
    return [name for name, is_met in judged.items() if not is_met]


def _is_flat(first_mb: float, last_mb: float) -> bool:
    return last_mb <= max(MOST_GROWTH * first_mb, first_mb + MOST_GROWTH_MB)


def _is_as_quick(first_ms: float, last_ms: float) -> bool:
    return last_ms <= max(MOST_SLOWER * first_ms, first_ms + MOST_SLOWER_MS)


def _rounded(values: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(value, 1) for name, value in values.items()}
