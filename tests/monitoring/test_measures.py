"""The same measures by PromQL and by two scrapes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.monitoring.measures import (
    Gauge,
    Look,
    Quantile,
    Rate,
    Ratio,
    histogram_quantile,
    parse_samples,
)

BEFORE = """
requests_total{route="/a",status="200"} 10
requests_total{route="/a",status="500"} 0
requests_total{route="/b",status="200"} 7
seconds_bucket{route="/a",le="0.1"} 5
seconds_bucket{route="/a",le="1.0"} 10
seconds_bucket{route="/a",le="+Inf"} 10
memory_bytes{gpu="0"} 1
memory_bytes{gpu="1"} 2
"""
AFTER = """
requests_total{route="/a",status="200"} 40
requests_total{route="/a",status="500"} 10
requests_total{route="/b",status="200"} 2
seconds_bucket{route="/a",le="0.1"} 25
seconds_bucket{route="/a",le="1.0"} 50
seconds_bucket{route="/a",le="+Inf"} 50
memory_bytes{gpu="0"} 3
memory_bytes{gpu="1"} 5
"""
LOOK = Look(parse_samples(BEFORE), parse_samples(AFTER), seconds=10.0)


def test_a_rate_is_the_growth_of_what_matches() -> None:
    assert Rate("requests_total", (("route", "/a"),)).values(LOOK, ()) == {(): pytest.approx(4)}
    by_status = Rate("requests_total", (("route", "/a"),)).values(LOOK, ("status",))
    assert by_status == {("200",): pytest.approx(3), ("500",): pytest.approx(1)}


def test_a_counter_that_fell_began_anew() -> None:
    assert Rate("requests_total", (("route", "/b"),)).values(LOOK, ()) == {(): pytest.approx(0.2)}


@pytest.mark.parametrize("metric", ["nv_inference_count", "visionops_uploads_total"])
def test_counters_are_found_with_and_without_their_suffix(metric: str) -> None:
    before, after = (f"# TYPE {metric} counter\n{metric} {value}\n" for value in (10, 30))
    look = Look(parse_samples(before), parse_samples(after), seconds=10.0)
    assert Rate(metric).values(look, ()) == {(): pytest.approx(2)}


def test_a_gauge_is_what_it_is_now() -> None:
    assert Gauge("memory_bytes").values(LOOK, ()) == {(): 8}
    assert Gauge("memory_bytes", is_maximum=True).values(LOOK, ()) == {(): 5}
    assert Gauge("memory_bytes").values(LOOK, ("gpu",)) == {("0",): 3, ("1",): 5}
    assert Gauge("nothing").values(LOOK, ()) == {}


def test_a_ratio_of_nothing_is_no_number() -> None:
    failed = Rate("requests_total", (("route", "/a"), ("status", "5..")))
    assert Ratio(failed, (Rate("requests_total", (("route", "/a"),)),)).values(LOOK, ()) == {
        (): pytest.approx(0.25)
    }
    still = Look(LOOK.after, LOOK.after, 10.0)
    (value,) = Ratio(failed, (failed,)).values(still, ()).values()
    assert math.isnan(value)


def test_a_quantile_lies_in_its_bucket() -> None:
    quantile = Quantile(0.5, "seconds", (("route", "/a"),))
    assert quantile.values(LOOK, ()) == {(): pytest.approx(0.1)}
    assert Quantile(0.75, "seconds").values(LOOK, ()) == {(): pytest.approx(0.55)}


def test_promql_says_the_same() -> None:
    rate = Rate("requests_total", (("status", "5.."),))
    assert rate.promql("gateway", (), "5m") == (
        'sum by () (rate(requests_total{job="gateway", status=~"5.."}[5m]))'
    )
    assert Ratio(rate, (rate, Rate("all_total"))).promql("t", ("model",), "1m") == (
        'sum by (model) (rate(requests_total{job="t", status=~"5.."}[1m]))'
        ' / (sum by (model) (rate(requests_total{job="t", status=~"5.."}[1m]))'
        ' + sum by (model) (rate(all_total{job="t"}[1m])))'
    )
    assert Quantile(0.9, "seconds").promql("t", (), "5m") == (
        'histogram_quantile(0.9, sum by (le) (rate(seconds_bucket{job="t"}[5m])))'
    )
    assert Gauge("g", is_maximum=True).promql("t", ("a", "b"), "5m") == (
        'max by (a, b) (g{job="t"})'
    )


@given(
    values=st.lists(st.floats(0.001, 9.9), min_size=1, max_size=50),
    quantile=st.floats(0.01, 0.99),
)
def test_a_histograms_quantile_is_no_more_than_a_bucket_away(
    values: list[float], quantile: float
) -> None:
    bounds = [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, math.inf]
    buckets = [(bound, float(sum(value <= bound for value in values))) for bound in bounds]
    estimate = histogram_quantile(quantile, buckets)
    exact = np.quantile(values, quantile, method="inverted_cdf")
    index = next(i for i, bound in enumerate(bounds) if exact <= bound)
    lower = bounds[index - 1] if index else 0.0
    assert lower <= estimate <= bounds[index]


def test_a_histogram_of_nothing_has_no_quantile() -> None:
    assert math.isnan(histogram_quantile(0.5, [(1.0, 0.0), (math.inf, 0.0)]))
    # What lies above the last bound is known to do so, and no more.
    assert histogram_quantile(0.99, [(1.0, 1.0), (math.inf, 10.0)]) == 1.0


def test_what_is_no_exposition_is_refused() -> None:
    with pytest.raises(ValueError, match="nvalid"):
        parse_samples("<html>not found</html>")


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [(0.2, 1.0), (0.5, 2.0), (0.35, 1.5), (0.6, 3.0), (1.0, 10.0)],
)
def test_a_quantile_at_the_end_of_a_bucket_is_its_bound(quantile: float, expected: float) -> None:
    """Buckets up to 1, 2, 3 and 10 hold 2, 3, 1 and 4 of ten."""
    buckets = [(1.0, 2.0), (2.0, 5.0), (3.0, 6.0), (10.0, 10.0), (math.inf, 10.0)]
    assert histogram_quantile(quantile, buckets) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_the_end_of_the_first_bucket() -> None:
    """Rank 0 lies in an empty bucket: no division by its count."""
    assert histogram_quantile(0.0, [(1.0, 0.0), (2.0, 4.0), (math.inf, 4.0)]) == 1.0


def test_a_counter_that_came_since_grew_from_nothing() -> None:
    after = parse_samples('requests_total{route="/new"} 30')
    assert Rate("requests_total").values(Look({}, after, 10.0), ()) == {(): pytest.approx(3)}


def test_promql_of_a_gauge_adds_unless_the_largest_is_asked_for() -> None:
    assert Gauge("g", (("a", "x"),)).promql("t", (), "5m") == 'sum by () (g{job="t", a=~"x"})'
