"""How a training run is configured."""

import pytest

from visionops_assets.stages.training.sensors import run_config_of

TRAINED = "signs_a__trained_model"


@pytest.mark.parametrize("canary_percent", [None, 20.0, 0.0])
def test_a_model_is_tried_first_only_if_a_share_is_named(canary_percent: float | None) -> None:
    ops = run_config_of("signs-a", "ds-1", canary_percent)["ops"]
    assert ops[TRAINED]["config"]["snapshot_id"] == "ds-1"
    share = ops.get("signs_a__model_release", {}).get("config", {}).get("canary_percent")
    assert share == canary_percent


def test_a_training_that_was_decided_on_is_not_superseded() -> None:
    """The retraining awaits the model of the first snapshot after the decision."""
    assert run_config_of("signs-a", "ds-1")["ops"][TRAINED]["config"]["only_if_newest"] is True
    assert "only_if_newest" not in run_config_of("signs-a", "ds-1", 20.0)["ops"][TRAINED]["config"]
