import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog.rollouts import LATENCY_BOUNDS_MS, ArmEvidence

LATENCIES = st.lists(st.floats(0.01, LATENCY_BOUNDS_MS[-1]), min_size=1, max_size=200)


def seen(latencies_ms: list[float]) -> ArmEvidence:
    found = ArmEvidence()
    for latency_ms in latencies_ms:
        found.observe(latency_ms)
    return found


@given(LATENCIES, st.floats(0.01, 1))
def test_a_quantile_is_within_the_bucket_that_holds_it(
    latencies_ms: list[float], quantile: float
) -> None:
    found = seen(latencies_ms).latency_quantile_ms(quantile)
    ordered = sorted(latencies_ms)
    exact = next(value for i, value in enumerate(ordered, 1) if i >= quantile * len(ordered) - 1e-9)
    low = max((bound for bound in (0, *LATENCY_BOUNDS_MS) if bound < exact), default=0)
    high = min(bound for bound in LATENCY_BOUNDS_MS if bound >= exact)
    assert found is not None
    assert low <= found <= high


def test_latencies_on_both_sides_of_a_bound_are_not_a_factor_apart() -> None:
    below = seen([48.0] * 60 + [52.0] * 40).latency_quantile_ms(0.6)
    above = seen([48.0] * 59 + [52.0] * 41).latency_quantile_ms(0.6)
    assert below is not None
    assert above is not None
    assert above / below < 1.01


def test_quantiles_without_answers_and_past_the_last_bound() -> None:
    assert ArmEvidence(requests=3, errors=3).latency_quantile_ms(0.95) is None
    assert seen([5_000.0]).latency_quantile_ms(0.95) == float("inf")


@pytest.mark.parametrize(
    ("limit_ms", "slower"), [(0.5, 41), (1, 40), (40, 30), (45, 25), (50, 20), (9_000, 10)]
)
def test_slower_answers_are_counted_by_parts_of_a_bucket(limit_ms: float, slower: int) -> None:
    found = seen([0.7] * 2 + [48.0] * 20 + [70.0] * 10 + [5_000.0] * 10)
    assert found.slower_than(limit_ms) == slower
    assert found.slower_than(float("inf")) == 0


@given(LATENCIES, LATENCIES, st.integers(0, 9), st.integers(0, 9))
def test_what_two_gateways_saw_adds_up(
    first: list[float], second: list[float], errors: int, agreed: int
) -> None:
    one, other = seen(first), seen(second)
    for _ in range(errors):
        other.fail()
    for _ in range(agreed):
        one.compare(agreed=True)
    other.compare(agreed=False)
    both = one + other
    assert both.requests == len(first) + len(second) + errors
    assert sum(both.latency_counts) == both.requests - both.errors
    assert both.agreement == agreed / (agreed + 1)
    assert both.latency_quantile_ms(0.5) == seen(first + second).latency_quantile_ms(0.5)
