"""How a training run is configured."""

import pytest

from visionops_assets.stages.training.sensors import run_config_of


@pytest.mark.parametrize("canary_percent", [None, 20.0, 0.0])
def test_a_model_is_tried_first_only_if_a_share_is_named(canary_percent: float | None) -> None:
    ops = run_config_of("ds-1", canary_percent)["ops"]
    assert ops["trained_model"] == {"config": {"snapshot_id": "ds-1"}}
    share = ops.get("model_release", {}).get("config", {}).get("canary_percent")
    assert share == canary_percent
