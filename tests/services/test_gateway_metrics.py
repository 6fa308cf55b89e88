"""The gateway's metrics: each is there before its first event, and counts its own."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from visionops_assets.contracts import Arm
from visionops_assets.services.gateway.breaker import BreakerState
from visionops_assets.services.gateway.metrics import REJECTIONS, GatewayMetrics


def values(metrics: GatewayMetrics) -> dict[str, float]:
    """Return the gateway's own counts by name and labels."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        " ".join([sample.name.removeprefix("visionops_gateway_"), *sample.labels.values()]):
        sample.value
        for family in families
        for sample in family.samples
        if family.name.startswith("visionops_gateway_") and not sample.name.endswith("_created")
    }  # fmt: skip


def test_what_has_not_happened_is_shown_as_zero() -> None:
    shown = values(GatewayMetrics())
    expected = {f"rejected_total {reason}" for reason in REJECTIONS}
    expected |= {f"rollout_total {arm} {end}" for arm in Arm for end in ("answered", "failed")}
    expected |= {"rollout_skipped_total", "stream_frames_total predicted"}
    assert {name: shown[name] for name in expected} == dict.fromkeys(expected, 0)


def test_each_event_is_counted_in_its_own_place() -> None:
    metrics = GatewayMetrics()
    before = values(metrics)
    metrics.count_rejected("breaker")
    metrics.count_arm(Arm.CANDIDATE, "failed")
    metrics.count_skipped()
    metrics.count_frame("predicted")
    metrics.watch("breaker_state", "A state.", lambda: BreakerState.OPEN)
    after = values(metrics)
    assert {name: value for name, value in after.items() if value != before.get(name)} == {
        "rejected_total breaker": 1,
        "rollout_total candidate failed": 1,
        "rollout_skipped_total": 1,
        "stream_frames_total predicted": 1,
        "breaker_state": 2,
    }


@pytest.mark.parametrize(
    ("state", "shown"),
    [(BreakerState.CLOSED, 0), (BreakerState.HALF_OPEN, 1), (BreakerState.OPEN, 2)],
)
def test_the_numbers_of_the_breaker_are_those_of_the_alerts(
    state: BreakerState, shown: int
) -> None:
    assert state == shown
