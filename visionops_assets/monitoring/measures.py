"""Measures of a server, defined once, for Prometheus and for two scrapes in a row.

Each kind of measure gives its PromQL, and the same value from two scrapes of the server itself,
with the meaning that Prometheus' documentation gives `rate` and `histogram_quantile`. Pure.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""
Group = tuple[str, ...]
"""Values of the labels that distinguish a measure's series."""


@dataclass(frozen=True)
class Look:
    """Two scrapes of one server, `seconds` apart."""

    before: Samples
    after: Samples
    seconds: float


def parse_samples(exposition: str) -> Samples:
    """Read the answer of a `/metrics`; names are without `_total`.

    The parser adds `_total` to counters that do not have it, such as Triton's.

    Raises:
        ValueError: it is not Prometheus' text format.
    """
    return {
        (_plain(sample.name), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


class Measure(Protocol):
    """One number, or one per value of the labels `by`."""

    def promql(self, job: str, by: Group, window: str) -> str:
        """Return the PromQL of this measure for one job of Prometheus."""

    def values(self, look: Look, by: Group) -> dict[Group, float]:
        """Measure by two scrapes; values that are not finite stand for nothing to measure."""


@dataclass(frozen=True)
class Gauge:
    """The present value of a number: the sum, or the largest, over the series with equal labels."""

    metric: str
    where: tuple[tuple[str, str], ...] = ()
    is_maximum: bool = False

    def promql(self, job: str, by: Group, window: str) -> str:  # noqa: ARG002 - needs no window
        """See `Measure`."""
        combine = "max" if self.is_maximum else "sum"
        return f"{combine} by ({', '.join(by)}) ({_selector(self.metric, job, self.where)})"

    def values(self, look: Look, by: Group) -> dict[Group, float]:
        """See `Measure`."""
        found: dict[Group, list[float]] = defaultdict(list)
        for labels, value in _matching(look.after, self.metric, self.where):
            found[_group(labels, by)].append(value)
        combine = max if self.is_maximum else math.fsum
        return {group: float(combine(values)) for group, values in found.items()}


@dataclass(frozen=True)
class Rate:
    """The growth of counters per second."""

    metric: str
    where: tuple[tuple[str, str], ...] = ()

    def promql(self, job: str, by: Group, window: str) -> str:
        """See `Measure`."""
        selector = _selector(self.metric, job, self.where)
        return f"sum by ({', '.join(by)}) (rate({selector}[{window}]))"

    def values(self, look: Look, by: Group) -> dict[Group, float]:
        """See `Measure`."""
        rates: dict[Group, float] = defaultdict(float)
        for labels, value in _matching(look.after, self.metric, self.where):
            before = look.before.get((_plain(self.metric), frozenset(labels.items())), 0.0)
            # A counter that fell began anew.
            grown = value - before if value >= before else value
            rates[_group(labels, by)] += grown / look.seconds
        return dict(rates)


@dataclass(frozen=True)
class Ratio:
    """The rate of some events divided by that of others."""

    part: Rate
    whole: tuple[Rate, ...]

    def promql(self, job: str, by: Group, window: str) -> str:
        """See `Measure`."""
        whole = " + ".join(rate.promql(job, by, window) for rate in self.whole)
        return f"{self.part.promql(job, by, window)} / ({whole})"

    def values(self, look: Look, by: Group) -> dict[Group, float]:
        """See `Measure`."""
        parts = self.part.values(look, by)
        wholes = [rate.values(look, by) for rate in self.whole]
        common = set(parts).intersection(*wholes)
        totals = {group: sum(whole[group] for whole in wholes) for group in common}
        return {g: parts[g] / totals[g] if totals[g] else math.nan for g in common}


@dataclass(frozen=True)
class Quantile:
    """A quantile of a histogram; `metric` is without `_bucket`."""

    quantile: float
    metric: str
    where: tuple[tuple[str, str], ...] = ()

    def promql(self, job: str, by: Group, window: str) -> str:
        """See `Measure`."""
        rate = Rate(f"{self.metric}_bucket", self.where).promql(job, ("le", *by), window)
        return f"histogram_quantile({self.quantile}, {rate})"

    def values(self, look: Look, by: Group) -> dict[Group, float]:
        """See `Measure`."""
        rates = Rate(f"{self.metric}_bucket", self.where).values(look, ("le", *by))
        buckets: dict[Group, list[tuple[float, float]]] = defaultdict(list)
        for (bound, *group), rate in rates.items():
            buckets[tuple(group)].append((float(bound), rate))
        return {
            group: histogram_quantile(self.quantile, sorted(counts))
            for group, counts in buckets.items()
        }


def histogram_quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """Return the quantile of cumulative buckets `(upper bound, count)`, in order of their bounds.

    It is linear within a bucket; in the last one, which has no end, it is the lower bound. It is
    NaN without observations.
    """
    total = buckets[-1][1]
    if not total > 0:
        return math.nan
    rank = quantile * total
    lower_bound = lower_count = 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return lower_bound
            share = (rank - lower_count) / (count - lower_count) if count > lower_count else 1.0
            return lower_bound + (bound - lower_bound) * share
        lower_bound, lower_count = bound, count
    return lower_bound


def _selector(metric: str, job: str, where: Iterable[tuple[str, str]]) -> str:
    matchers = [f'job="{job}"', *(f'{label}=~"{pattern}"' for label, pattern in where)]
    return f"{metric}{{{', '.join(matchers)}}}"


def _matching(
    samples: Samples, metric: str, where: tuple[tuple[str, str], ...]
) -> Iterable[tuple[dict[str, str], float]]:
    for (name, labels), value in samples.items():
        found = dict(labels)
        if name == _plain(metric) and all(
            re.fullmatch(pattern, found.get(label, "")) for label, pattern in where
        ):
            yield found, value


def _plain(name: str) -> str:
    return name.removesuffix("_total")


def _group(labels: Mapping[str, str], by: Group) -> Group:
    return tuple(labels.get(label, "") for label in by)
