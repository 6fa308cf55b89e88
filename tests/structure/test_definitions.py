"""What Dagster is given: every asset is wired, described and owned."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visionops_assets.catalog.schema import Decision, EngineRow, Label
from visionops_assets.catalog.schema.base import Base
from visionops_assets.contracts import (
    Candidate,
    DeadLetter,
    ExportedModel,
    GateVerdict,
    MediaEvent,
    Prediction,
    ReleasedModel,
)
from visionops_assets.definitions import definitions
from visionops_assets.settings import Settings
from visionops_assets.stages.requests import REQUEST_OF
from visionops_assets.stages.training.sensors import run_config_of

ROOT = Path(__file__).parents[2]
LINEAGE: dict[str, set[str]] = {
    "raw_media": {"media_topic"},
    "processed_frames": {"raw_media"},
    "labels": {"processed_frames", "label_table"},
    "dataset_snapshot": {"labels", "retrain_decision"},
    "trained_model": {"dataset_snapshot"},
    "model_evaluation": {"trained_model"},
    "exported_model": {"trained_model", "model_evaluation"},
    # No release waits for it.
    "engine": {"exported_model"},
    "model_release": {"exported_model", "retrain_decision"},
    "prediction_log": {"predictions_topic"},
    "feedback_media": {"prediction_log", "label_table"},
    "model_performance": {"prediction_log", "label_table"},
    "data_drift": {"prediction_log"},
    "retrain_decision": {"model_performance", "data_drift"},
    "serving_health": {"server_metrics"},
}
EXTERNAL_LINEAGE: dict[str, set[str]] = {
    "cameras": set(),
    "uploads": set(),
    "media_topic": {"cameras", "uploads", "feedback_media"},
    "dead_letter_topic": {"raw_media", "prediction_log"},
    "label_table": set(),
    "triton": {"model_release", "engine"},
    "applications": {"triton"},
    "predictions_topic": set(),
    "server_metrics": set(),
}
GROUPS = {
    "media": {"cameras", "uploads", "media_topic", "dead_letter_topic"}
    | {"raw_media", "processed_frames"},
    "data": {"label_table", "labels", "dataset_snapshot"},
    "model": {"trained_model", "model_evaluation", "exported_model", "engine"},
    "serving": {"model_release", "triton", "applications"},
    "monitoring": {"predictions_topic", "prediction_log", "feedback_media", "model_performance"}
    | {"data_drift", "retrain_decision", "server_metrics", "serving_health"},
}
MEASURED = {"prediction_log", "feedback_media", "model_performance", "data_drift"} | {
    "retrain_decision",
    "serving_health",
}
DETERMINED = {"processed_frames", "dataset_snapshot", "trained_model", "model_evaluation"} | {
    "exported_model",
    "engine",
}
"""Assets that follow from their inputs, the code and the settings; all others read the world."""
ROWS: dict[str, type[BaseModel] | type[Base]] = {
    "media_topic": MediaEvent,
    "dead_letter_topic": DeadLetter,
    "predictions_topic": Prediction,
    "label_table": Label,
    "retrain_decision": Decision,
    "engine": EngineRow,
    "trained_model": Candidate,
    "model_evaluation": GateVerdict,
    "exported_model": ExportedModel,
    "model_release": ReleasedModel,
}
"""The record, or the table of the catalog, that each asset without a data frame has rows of."""
WITHOUT_ROWS = {"cameras", "uploads", "triton", "applications", "server_metrics"}
GRAPH = definitions.resolve_asset_graph()
KEYS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())


def test_lineage_is_the_designs() -> None:
    lineage = {
        key: {parent.to_user_string() for parent in GRAPH.get(dg.AssetKey(key)).parent_keys}
        for key in KEYS
    }
    assert lineage == LINEAGE | EXTERNAL_LINEAGE


def test_groups_are_few() -> None:
    groups: dict[str | None, set[str]] = {}
    for key in KEYS:
        groups.setdefault(GRAPH.get(dg.AssetKey(key)).group_name, set()).add(key)
    assert groups == GROUPS


@pytest.mark.parametrize("key", KEYS)
def test_asset_is_described_and_owned(key: str) -> None:
    node = GRAPH.get(dg.AssetKey(key))
    assert node.is_executable == (key in LINEAGE)
    assert node.description
    assert node.owners
    assert node.kinds


@pytest.mark.parametrize("key", sorted(LINEAGE))
def test_no_run_loads_anything_from_outside_or_from_a_decision(key: str) -> None:
    """Such edges tell where things come from; an asset that loaded them would wait for them."""
    assets = definitions.resolve_assets_def(key)
    inputs = assets.node_def.input_dict
    loaded = {
        parent.to_user_string()
        for name, parent in assets.keys_by_input_name.items()
        if not inputs[name].dagster_type.is_nothing
    }
    assert loaded <= set(LINEAGE) - {"retrain_decision"}


def test_what_is_measured_all_the_time_must_stay_fresh() -> None:
    policies = {key: GRAPH.get(dg.AssetKey(key)).freshness_policy for key in KEYS}
    window_s = {
        key: policy.fail_window.to_timedelta().total_seconds()
        for key, policy in policies.items()
        if isinstance(policy, TimeWindowFreshnessPolicy)
    }
    jobs = (definitions.resolve_job_def(name) for name in ("monitor", "check_health"))
    assert set(window_s) == MEASURED == set().union(*map(materialized_by, jobs))
    hourly = MEASURED - {"serving_health"}
    interval_s = Settings().monitoring_max_interval_s
    assert all(interval_s < window_s[key] <= 2 * interval_s for key in hourly)
    # The schedule runs every five minutes; two runs may fail.
    assert 10 * 60 < window_s["serving_health"] <= 20 * 60


def test_jobs_sensors_and_schedules_are_described() -> None:
    jobs = [job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")]
    described = [*jobs, *(definitions.sensors or []), *(definitions.schedules or [])]
    assert [one.name for one in described if not one.description] == []


def materialized_by(job: dg.JobDefinition) -> set[str]:
    return {key.to_user_string() for key in job.asset_layer.executable_asset_keys}


def test_checks_are_described() -> None:
    described = {key.name: GRAPH.get_check_spec(key).description for key in GRAPH.asset_check_keys}
    assert [name for name, description in described.items() if not description] == []


def test_what_code_and_settings_determine_has_a_code_version() -> None:
    """Of equal inputs Dagster takes it for unchanged: what reads the catalog must have none."""
    versions = {key: GRAPH.get(dg.AssetKey(key)).code_version for key in KEYS}
    assert {key for key, version in versions.items() if version} == DETERMINED


def test_every_asset_with_a_configuration_checks_it() -> None:
    """Dagster checks no bounds, and pydantic's end in a stack trace: `requests.py` has them."""
    requests = {
        key: annotations["config"]
        for key in LINEAGE
        if "config" in (annotations := annotations_of(key))
    }
    assert requests == REQUEST_OF
    bounds = [field.metadata for request in REQUEST_OF.values() for field in fields_of(request)]
    assert not any(bounds)


def annotations_of(key: str) -> dict[str, Any]:
    compute: Any = definitions.resolve_assets_def(key).op.compute_fn
    found: dict[str, Any] = compute.decorated_fn.__wrapped__.__annotations__
    return found


def fields_of(request: type[BaseModel]) -> list[FieldInfo]:
    return list(request.model_fields.values())


def test_every_job_materializes_assets_that_exist() -> None:
    selected = {
        job.name: materialized_by(job)
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
        "build_engines": {"engine"},
    }


@pytest.mark.parametrize("canary_percent", [None, 0.0, 20.0])
def test_training_takes_the_configuration_of_its_sensor(canary_percent: float | None) -> None:
    job = definitions.resolve_job_def("train_and_release")
    assert dg.validate_run_config(job, run_config_of("ds-1", canary_percent))


def tag_of_jobs(tag: str) -> dict[str, str | None]:
    jobs = definitions.resolve_all_job_defs()
    return {job.name: job.tags.get(tag) for job in jobs if not job.name.startswith("__")}


def test_neither_repair_nor_measurement_waits_for_new_media() -> None:
    priority = {name: int(tag or 0) for name, tag in tag_of_jobs("dagster/priority").items()}
    media = priority.pop("process_media")
    assert all(other > media for other in priority.values())
    # What was to be trained on may be old by the time that it starts.
    assert priority["build_dataset"] > priority["train_and_release"]


@pytest.mark.parametrize(
    "path", ["dagster.yaml", "deploy/dagster.yaml", "deploy/kubernetes/base/dagster/dagster.yaml"]
)
def test_media_keep_a_slot_of_the_run_queue(path: str) -> None:
    """All other jobs are in groups, one run of each at a time, and there is a slot more."""
    groups = tag_of_jobs("visionops/exclusive")
    assert groups.pop("process_media") is None
    assert None not in groups.values()
    if "kubernetes" not in path:
        # Kinds of GPU are declared on a cluster alone.
        del groups["build_engines"]
    runs = yaml.safe_load((ROOT / path).read_text())["concurrency"]["runs"]
    assert runs["max_concurrent_runs"] > len(set(groups.values()))
    (limit,) = runs["tag_concurrency_limits"]
    assert limit["key"] == "visionops/exclusive"
    assert limit["value"] == {"applyLimitPerUniqueValue": True}
    assert limit["limit"] == 1


def test_sensors_run_from_the_start() -> None:
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert set(sensors) == {
        "media_events",
        "unfinished_batches",
        "new_labels",
        "new_snapshot",
        "champion_alias",
        "missing_engines",
        "new_predictions",
        "alert_calls",
    }
    assert set(sensors.values()) == {dg.DefaultSensorStatus.RUNNING}


def test_only_faults_block() -> None:
    """A refusal by the gate is an answer, as too few labels are: to block would fail the run."""
    keys = {
        (key.asset_key.to_user_string(), key.name)
        for key in GRAPH.asset_check_keys
        if GRAPH.get_check_spec(key).blocking
    }
    assert keys == {
        ("dataset_snapshot", "no_group_on_both_sides"),
        ("exported_model", "onnx_matches_pytorch"),
    }


def test_a_run_imports_nothing_slow_that_most_runs_do_not_need() -> None:
    """Every run is a new process, which imports the definitions before it does anything."""
    script = "import sys, visionops_assets.definitions; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "visionops_assets.definitions" in loaded
    assert not {"antlr4", "mlflow", "tensorrt", "torch"}.intersection(loaded)


def test_threads_of_a_run_do_not_spin_while_they_wait() -> None:
    """PyTorch's OpenMP reads it when it is loaded: beside other processes it decides the pace."""
    code = "import os, visionops_assets.definitions; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == "passive"


def schema_of(key: str) -> dg.TableSchema | None:
    return GRAPH.get(dg.AssetKey(key)).metadata.get("dagster/column_schema")


@pytest.mark.parametrize("key", sorted(set(KEYS) - WITHOUT_ROWS))
def test_every_asset_with_rows_describes_their_columns(key: str) -> None:
    schema = schema_of(key)
    assert isinstance(schema, dg.TableSchema)
    assert all(column.description and column.type for column in schema.columns)
    if key in ROWS:
        assert sorted(column.name for column in schema.columns) == sorted(names_of(ROWS[key]))
    else:
        assets = definitions.resolve_assets_def(key)
        assert assets.get_io_manager_key_for_asset_key(dg.AssetKey(key)) == "tables"


def names_of(rows: type[BaseModel] | type[Base]) -> list[str]:
    """Return the names of a record's fields, or of a table's columns."""
    if issubclass(rows, BaseModel):
        return list(rows.model_fields)
    return [column.name for column in rows.__table__.columns]
