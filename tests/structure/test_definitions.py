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

from tests.declared import declaration
from visionops_assets.catalog.schema import AnnotationRow, Decision, EngineRow
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
from visionops_assets.definitions import definitions, definitions_for
from visionops_assets.settings import Settings
from visionops_assets.stages.requests import REQUEST_OF
from visionops_assets.stages.training.sensors import run_config_of

ROOT = Path(__file__).parents[2]
LINEAGE: dict[str, set[str]] = {
    "raw_media": {"media_topic"},
    "processed_frames": {"raw_media"},
    "classifier/labels": {"processed_frames", "label_table"},
    "classifier/dataset_snapshot": {"classifier/labels", "classifier/retrain_decision"},
    "classifier/trained_model": {"classifier/dataset_snapshot"},
    "classifier/model_evaluation": {"classifier/trained_model"},
    # No release waits for it.
    "classifier/label_quality": {"classifier/trained_model"},
    "classifier/exported_model": {"classifier/trained_model", "classifier/model_evaluation"},
    # No release waits for it.
    "classifier/engine": {"classifier/exported_model"},
    "classifier/model_release": {"classifier/exported_model", "classifier/retrain_decision"},
    "prediction_log": {"predictions_topic"},
    "feedback_media": {"prediction_log", "label_table"},
    "classifier/model_performance": {"prediction_log", "label_table"},
    "classifier/data_drift": {"prediction_log"},
    "classifier/retrain_decision": {"classifier/model_performance", "classifier/data_drift"},
    "serving_health": {"server_metrics"},
}
EXTERNAL_LINEAGE: dict[str, set[str]] = {
    "cameras": set(),
    "uploads": set(),
    "media_topic": {"cameras", "uploads", "feedback_media"},
    "dead_letter_topic": {"raw_media", "prediction_log"},
    "label_table": set(),
    "triton": {"classifier/model_release", "classifier/engine"},
    "applications": {"triton"},
    "predictions_topic": set(),
    "server_metrics": set(),
}
GROUPS = {
    "media": {"cameras", "uploads", "media_topic", "dead_letter_topic"}
    | {"raw_media", "processed_frames"},
    "data": {"label_table", "classifier/labels", "classifier/dataset_snapshot"}
    | {"classifier/label_quality"},
    "model": {
        "classifier/trained_model",
        "classifier/model_evaluation",
        "classifier/exported_model",
        "classifier/engine",
    },
    "serving": {"classifier/model_release", "triton", "applications"},
    "monitoring": {
        "predictions_topic",
        "prediction_log",
        "feedback_media",
        "classifier/model_performance",
    }
    | {"classifier/data_drift", "classifier/retrain_decision", "server_metrics", "serving_health"},
}
MEASURED = {
    "prediction_log",
    "feedback_media",
    "classifier/model_performance",
    "classifier/data_drift",
} | {
    "classifier/retrain_decision",
    "serving_health",
}
DETERMINED = {"processed_frames", "classifier/dataset_snapshot", "classifier/trained_model"} | {
    "classifier/model_evaluation",
    "classifier/exported_model",
    "classifier/engine",
}
"""Assets that follow from their inputs, the code and the settings; all others read the world."""
ROWS: dict[str, type[BaseModel] | type[Base]] = {
    "media_topic": MediaEvent,
    "dead_letter_topic": DeadLetter,
    "predictions_topic": Prediction,
    "label_table": AnnotationRow,
    "classifier/retrain_decision": Decision,
    "classifier/engine": EngineRow,
    "classifier/trained_model": Candidate,
    "classifier/model_evaluation": GateVerdict,
    "classifier/exported_model": ExportedModel,
    "classifier/model_release": ReleasedModel,
}
"""The record, or the table of the catalog, that each asset without a data frame has rows of."""
LOADED = {"raw_media", "classifier/labels", "classifier/dataset_snapshot"} | {
    "classifier/label_quality"
}
"""Assets whose tables are kept to be loaded. The rows of all others lie in the catalog alone."""
WITHOUT_ROWS = {"cameras", "uploads", "triton", "applications", "server_metrics"}
key_of = dg.AssetKey.from_user_string
GRAPH = definitions.resolve_asset_graph()
KEYS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())


def test_lineage_is_the_designs() -> None:
    lineage = {
        key: {parent.to_user_string() for parent in GRAPH.get(key_of(key)).parent_keys}
        for key in KEYS
    }
    assert lineage == LINEAGE | EXTERNAL_LINEAGE


def test_groups_are_few() -> None:
    groups: dict[str | None, set[str]] = {}
    for key in KEYS:
        groups.setdefault(GRAPH.get(key_of(key)).group_name, set()).add(key)
    assert groups == GROUPS


@pytest.mark.parametrize("key", KEYS)
def test_asset_is_described_and_owned(key: str) -> None:
    node = GRAPH.get(key_of(key))
    assert node.is_executable == (key in LINEAGE)
    assert node.description
    assert node.owners
    assert node.kinds


@pytest.mark.parametrize("key", sorted(LINEAGE))
def test_no_run_loads_anything_from_outside_or_from_a_decision(key: str) -> None:
    """Such edges tell where things come from; an asset that loaded them would wait for them."""
    assets = definitions.resolve_assets_def(key_of(key))
    inputs = assets.node_def.input_dict
    loaded = {
        parent.to_user_string()
        for name, parent in assets.keys_by_input_name.items()
        if not inputs[name].dagster_type.is_nothing
    }
    assert loaded <= set(LINEAGE) - {"classifier/retrain_decision"}


def test_what_is_measured_all_the_time_must_stay_fresh() -> None:
    policies = {key: GRAPH.get(key_of(key)).freshness_policy for key in KEYS}
    window_s = {
        key: policy.fail_window.to_timedelta().total_seconds()
        for key, policy in policies.items()
        if isinstance(policy, TimeWindowFreshnessPolicy)
    }
    jobs = (definitions.resolve_job_def(name) for name in ("classifier__monitor", "check_health"))
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
    versions = {key: GRAPH.get(key_of(key)).code_version for key in KEYS}
    assert {key for key, version in versions.items() if version} == DETERMINED


def test_every_asset_with_a_configuration_checks_it() -> None:
    """Dagster checks no bounds, and pydantic's end in a stack trace: `requests.py` has them."""
    requests = {
        key.removeprefix("classifier/"): annotations["config"]
        for key in LINEAGE
        if "config" in (annotations := annotations_of(key))
    }
    assert requests == REQUEST_OF
    bounds = [field.metadata for request in REQUEST_OF.values() for field in fields_of(request)]
    assert not any(bounds)


def annotations_of(key: str) -> dict[str, Any]:
    compute: Any = definitions.resolve_assets_def(key_of(key)).op.compute_fn
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
        "classifier__build_dataset": {"classifier/labels", "classifier/dataset_snapshot"},
        "classifier__train_and_release": {
            "classifier/trained_model",
            "classifier/model_evaluation",
            "classifier/exported_model",
            "classifier/model_release",
        },
        "classifier__monitor": {
            "prediction_log",
            "feedback_media",
            "classifier/model_performance",
            "classifier/data_drift",
            "classifier/retrain_decision",
        },
        "check_health": {"serving_health"},
        "classifier__build_engines": {"classifier/engine"},
        "classifier__judge_labels": {"classifier/label_quality"},
    }


@pytest.mark.parametrize("canary_percent", [None, 0.0, 20.0])
def test_training_takes_the_configuration_of_its_sensor(canary_percent: float | None) -> None:
    job = definitions.resolve_job_def("classifier__train_and_release")
    assert dg.validate_run_config(job, run_config_of("classifier", "ds-1", canary_percent))


def tag_of_jobs(tag: str) -> dict[str, str | None]:
    jobs = definitions.resolve_all_job_defs()
    return {job.name: job.tags.get(tag) for job in jobs if not job.name.startswith("__")}


def test_neither_repair_nor_measurement_waits_for_new_media() -> None:
    priority = {name: int(tag or 0) for name, tag in tag_of_jobs("dagster/priority").items()}
    media = priority.pop("process_media")
    assert all(other > media for other in priority.values())
    # What was to be trained on may be old by the time that it starts.
    assert priority["classifier__build_dataset"] > priority["classifier__train_and_release"]


@pytest.mark.parametrize(
    "path", ["dagster.yaml", "deploy/dagster.yaml", "deploy/kubernetes/base/dagster/dagster.yaml"]
)
def test_media_keep_a_slot_of_the_run_queue_however_many_models_there_are(path: str) -> None:
    runs = yaml.safe_load((ROOT / path).read_text())["concurrency"]["runs"]
    each, *shares = runs["tag_concurrency_limits"]
    unique = {"applyLimitPerUniqueValue": True}
    assert each == {"key": "visionops/exclusive", "value": unique, "limit": 1}
    assert {share["key"] for share in shares} == {"visionops/share"}
    limits = {share["value"]: share["limit"] for share in shares}
    exclusive, share = tag_of_jobs("visionops/exclusive"), tag_of_jobs("visionops/share")
    most: dict[str, int] = {}
    for job, group in exclusive.items():
        # Kinds of GPU are declared on a cluster alone.
        if job == "process_media" or (group == "engines classifier" and "kubernetes" not in path):
            continue
        kind = share[job] or group
        assert kind is not None
        most[kind] = limits.get(kind, 1)
    assert set(most) >= {"cutting", "training", "watching"}
    assert runs["max_concurrent_runs"] > sum(most.values())


def test_two_models_have_all_of_their_own_and_share_what_is_everybodys() -> None:
    models = [declaration("gate-a"), declaration("signs")]
    two = definitions_for(models)
    graph = two.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    own = {key.removeprefix("classifier/") for key in KEYS if "/" in key}
    assert keys == {key for key in KEYS if "/" not in key} | {
        f"{model.name}/{asset}" for model in models for asset in own
    }
    for key in graph.get_all_asset_keys():
        of = key.path[0]
        parents = {parent.path[0] for parent in graph.get(key).parent_keys if len(parent.path) > 1}
        assert len(key.path) == 1 or parents <= {of}
    jobs = {job.name for job in two.resolve_all_job_defs()}
    assert {"gate_a__train_and_release", "signs__train_and_release", "process_media"} <= jobs
    names = [sensor.name for sensor in two.sensors or []]
    assert len(names) == len(set(names)) == 4 + 2 * 5


def test_sensors_run_from_the_start() -> None:
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert set(sensors) == {
        "media_events",
        "unfinished_batches",
        "classifier__new_labels",
        "classifier__new_snapshot",
        "classifier__unjudged_labels",
        "classifier__champion_alias",
        "classifier__missing_engines",
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
        ("classifier/dataset_snapshot", "no_group_on_both_sides"),
        ("classifier/exported_model", "onnx_matches_pytorch"),
    }


def test_a_run_imports_nothing_slow_that_most_runs_do_not_need() -> None:
    """Every run is a new process, which imports the definitions before it does anything."""
    script = "import sys, visionops_assets.definitions; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "visionops_assets.definitions" in loaded
    assert not {"antlr4", "cleanlab", "mlflow", "tensorrt", "torch"}.intersection(loaded)


def test_threads_of_a_run_do_not_spin_while_they_wait() -> None:
    """PyTorch's OpenMP reads it when it is loaded: beside other processes it decides the pace."""
    code = "import os, visionops_assets.definitions; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == "passive"


def schema_of(key: str) -> dg.TableSchema | None:
    return GRAPH.get(key_of(key)).metadata.get("dagster/column_schema")


@pytest.mark.parametrize("key", sorted(set(KEYS) - WITHOUT_ROWS))
def test_every_asset_with_rows_describes_their_columns(key: str) -> None:
    schema = schema_of(key)
    assert isinstance(schema, dg.TableSchema)
    assert all(column.description and column.type for column in schema.columns)
    if key in ROWS:
        assert sorted(column.name for column in schema.columns) == sorted(names_of(ROWS[key]))
    elif key in LOADED:
        assets = definitions.resolve_assets_def(key_of(key))
        assert assets.get_io_manager_key_for_asset_key(key_of(key)) == "tables"


def names_of(rows: type[BaseModel] | type[Base]) -> list[str]:
    """Return the names of a record's fields, or of a table's columns."""
    if issubclass(rows, BaseModel):
        return list(rows.model_fields)
    return [column.name for column in rows.__table__.columns]
