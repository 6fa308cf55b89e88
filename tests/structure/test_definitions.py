"""What Dagster is given: every asset is wired, described and owned."""

import subprocess
import sys

import dagster as dg
import pytest

from visionops_assets.definitions import STAGES, definitions
from visionops_assets.stages.training.sensors import run_config_of

EXPECTED_LINEAGE = {
    "raw_media": set(),
    "processed_frames": {"raw_media"},
    "labels": {"processed_frames"},
    "dataset_snapshot": {"labels"},
    "trained_model": {"dataset_snapshot"},
    "model_evaluation": {"trained_model"},
    "exported_model": {"trained_model", "model_evaluation"},
    "model_release": {"exported_model"},
    "prediction_log": {"model_release"},
    "feedback_media": {"prediction_log"},
    "model_performance": {"prediction_log"},
    "data_drift": {"prediction_log"},
    "retrain_decision": {"model_performance", "data_drift"},
    "serving_health": {"model_release"},
}
GRAPH = definitions.resolve_asset_graph()
KEYS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())


def test_lineage_is_the_designs() -> None:
    lineage = {
        key: {parent.to_user_string() for parent in GRAPH.get(dg.AssetKey(key)).parent_keys}
        for key in KEYS
    }
    assert lineage == EXPECTED_LINEAGE


@pytest.mark.parametrize("key", KEYS)
def test_asset_is_ours_described_and_owned(key: str) -> None:
    """A mistyped dependency would show here as an external asset."""
    node = GRAPH.get(dg.AssetKey(key))
    assert node.is_executable
    assert node.description
    assert node.owners
    assert node.kinds
    assert node.group_name in {stage.__name__.rpartition(".")[2] for stage in STAGES}


def test_every_job_materializes_assets_that_exist() -> None:
    selected = {
        job.name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    assert selected == {
        "process_media": {"raw_media", "processed_frames"},
        "build_dataset": {"labels", "dataset_snapshot"},
        "train_and_release": {
            "trained_model",
            "model_evaluation",
            "exported_model",
            "model_release",
        },
        "monitor": {
            "prediction_log",
            "feedback_media",
            "model_performance",
            "data_drift",
            "retrain_decision",
        },
        "check_health": {"serving_health"},
    }


@pytest.mark.parametrize("canary_percent", [None, 0.0, 20.0])
def test_training_takes_the_configuration_of_its_sensor(canary_percent: float | None) -> None:
    job = definitions.resolve_job_def("train_and_release")
    assert dg.validate_run_config(job, run_config_of("ds-1", canary_percent))


def test_a_repair_waits_for_no_new_media() -> None:
    priority = {
        job.name: int(job.tags.get("dagster/priority", 0))
        for job in definitions.resolve_all_job_defs()
    }
    assert priority["build_dataset"] > priority["process_media"]
    assert priority["train_and_release"] > priority["process_media"]


def test_sensors_run_from_the_start() -> None:
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert set(sensors) == {
        "media_events",
        "unfinished_batches",
        "new_labels",
        "new_snapshot",
        "rollout_rule",
        "decided_rollback",
        "serving_convergence",
        "new_predictions",
        "alert_calls",
    }
    assert set(sensors.values()) == {dg.DefaultSensorStatus.RUNNING}


def test_gates_block() -> None:
    keys = {
        (key.asset_key.to_user_string(), key.name)
        for key in GRAPH.asset_check_keys
        if GRAPH.get_check_spec(key).blocking
    }
    assert keys == {
        ("dataset_snapshot", "no_group_on_both_sides"),
        ("dataset_snapshot", "every_class_is_held_out"),
        ("model_evaluation", "gate"),
        ("exported_model", "onnx_matches_pytorch"),
    }


def test_a_run_imports_nothing_slow_that_most_runs_do_not_need() -> None:
    """Every run is a new process, which imports the definitions before it does anything."""
    script = "import sys, visionops_assets.definitions; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "visionops_assets.definitions" in loaded
    assert not {"antlr4", "boto3", "mlflow", "tensorrt", "torch"}.intersection(loaded)
