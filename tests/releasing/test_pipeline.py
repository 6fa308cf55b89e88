import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import ModelCard, PreprocessingSpec, Role
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.loading import (
    STEPS,
    config_as_json,
    config_text,
    engine_loads,
    infer_step,
    is_engine,
    model_loads,
    parse_config,
    steps_of,
    takes_engine,
)
from visionops_assets.releasing.pipeline import (
    PipelineOptions,
    pipeline_files,
    preferred_batch_size,
)
from visionops_assets.settings import Settings, usable_cores

TEMPLATES = Settings.model_fields["project_root"].default / "triton_models" / "classifier"


def card(classes: tuple[str, ...]) -> ModelCard:
    return ModelCard(
        architecture="a",
        classes=classes,
        embedding_size=96,
        spec=PreprocessingSpec(),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        snapshot_id="s",
        seed=0,
    )


@given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True))
def test_class_names_survive_the_configuration(classes: list[str]) -> None:
    config = pipeline_files(TEMPLATES, "m", 3, card(tuple(classes)))["config.pbtxt"]
    parsed = json.loads(config_as_json(config, "m"))
    assert json.loads(parsed["parameters"]["classes"]["string_value"]) == classes


def test_the_configuration_pins_the_version_and_the_shapes() -> None:
    files = pipeline_files(TEMPLATES, "digits", 12, card(("a", "b", "c")))
    parsed = json.loads(config_as_json(files["config.pbtxt"], "digits-rehearsal"))
    assert parsed["name"] == "digits-rehearsal"
    assert parsed["version_policy"] == {"specific": {"versions": ["12"]}}
    dims = {output["name"]: output["dims"] for output in parsed["output"]}
    assert dims == {
        "LABEL": ["1"],
        "PROBABILITIES": ["3"],
        "EMBEDDING": ["96"],
        "PREDICTION_ID": ["1"],
        "MODEL_VERSION": ["1"],
        "SNAPSHOT_ID": ["1"],
    }
    assert {"model.py", "recorder.py"} <= files.keys()


def test_a_load_may_have_its_own_role_and_number_of_instances() -> None:
    config = pipeline_files(TEMPLATES, "m", 1, card(("a", "b")))["config.pbtxt"]
    assert json.loads(config_as_json(config, "m"))["parameters"]["role"] == {
        "string_value": "champion"
    }
    parsed = json.loads(config_as_json(config, "m-candidate", instances=5, role=Role.SHADOW))
    assert parsed["parameters"]["role"] == {"string_value": "shadow"}
    assert parsed["instance_group"][0]["count"] == 5


def test_a_configuration_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt.j2").write_text("nonsense: {")
    with pytest.raises(ReleaseError, match="does not parse"):
        pipeline_files(tmp_path, "m", 1, card(("a", "b")))


BACKENDS = ("python", "onnxruntime", "tensorrt")


def configs(backend: Any) -> dict[str, Any]:
    """Render an ensemble; return the configuration of each of its models by name."""
    options = PipelineOptions(2, 256, "ensemble", backend)
    files = pipeline_files(TEMPLATES, "m", 7, card(("a", "b", "c")), options)
    network = {"model.plan": b"engine"} if backend == "tensorrt" else {"model.onnx": b"network"}
    loads = model_loads(files | network | {"model.json": b"{}"}, "m", 7)
    return {load.name: json.loads(load.config) for load in loads}


def shapes(tensors: list[dict[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    return {t["name"]: (t["data_type"], t["dims"]) for t in tensors}


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_layouts_have_the_same_inputs_and_outputs(backend: Any) -> None:
    fused = json.loads(
        config_as_json(
            pipeline_files(TEMPLATES, "m", 7, card(("a", "b", "c")))["config.pbtxt"], "m"
        )
    )
    ensemble = configs(backend)["m"]
    for side in ("input", "output"):
        assert shapes(ensemble[side]) == shapes(fused[side])
    for field in ("name", "max_batch_size", "version_policy", "parameters"):
        assert ensemble[field] == fused[field]


def test_a_folder_has_the_programs_of_its_layout_and_of_no_other() -> None:
    fused = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")))
    options = PipelineOptions(2, 256, "ensemble", "onnxruntime")
    ensemble = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")), options)
    steps = {f"{step}.py" for step in STEPS}
    assert (fused.keys() & {"model.py", *steps}) == {"model.py"}
    assert (ensemble.keys() & {"model.py", *steps}) == steps


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_steps_of_an_ensemble_fit_together(backend: Any) -> None:
    by_name = configs(backend)
    ensemble = by_name.pop("m")
    known = shapes(ensemble["input"])
    steps = ensemble["ensemble_scheduling"]["step"]
    assert [step["model_name"] for step in steps] == list(by_name)
    for step in steps:
        model = by_name[step["model_name"]]
        inputs, outputs = shapes(model["input"]), shapes(model["output"])
        assert {own: known[tensor] for own, tensor in step["input_map"].items()} == inputs
        assert step["output_map"].keys() == outputs.keys()
        known |= {tensor: outputs[own] for own, tensor in step["output_map"].items()}
    assert shapes(ensemble["output"]).items() <= known.items()


def test_the_network_runs_where_the_backend_says_and_is_sent_to_its_step_alone() -> None:
    for backend, kind in (("onnxruntime", "KIND_GPU"), ("python", "KIND_CPU")):
        step = configs(backend)["m-7-infer"]
        assert (step["backend"], step["instance_group"][0]["kind"]) == (backend, kind)
    options = PipelineOptions(2, 256, "ensemble", "onnxruntime")
    files = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")), options)
    files |= {"model.onnx": b"network", "model.json": b"{}"}
    by_name = {load.name: load.files for load in model_loads(files, "m", 7)}
    assert by_name["m-7-infer"]["1/model.onnx"] == b"network"
    assert [name for name, sent in by_name.items() if b"network" in sent.values()] == ["m-7-infer"]
    assert by_name["m"] == {"7/model.json": b"{}"}
    assert by_name["m-7-record"]["1/model.py"] == (TEMPLATES / "record.py").read_bytes()


def test_an_engine_takes_the_place_of_the_network_and_of_nothing_else() -> None:
    options = PipelineOptions(2, 256, "ensemble", "onnxruntime")
    files = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")), options)
    files |= {"model.onnx": b"network", "model.json": b"{}"}
    before = {load.name: json.loads(load.config) for load in model_loads(files, "m", 7)}
    name = "m-7-engine_0123abcd"
    engine, ensemble = engine_loads(files, "m-rehearsal", 7, name, b"plan")
    assert (infer_step(files), is_engine(name), is_engine("m-7-infer")) == (
        "m-7-infer",
        True,
        False,
    )
    assert (engine.name, engine.files) == (name, {"1/model.plan": b"plan"})
    changed = {"name": name, "backend": "tensorrt"}
    assert json.loads(engine.config) == before["m-7-infer"] | changed
    expected = before["m"] | {"name": "m-rehearsal"}
    expected["ensemble_scheduling"]["step"][1]["model_name"] = name
    assert json.loads(ensemble.config) == expected
    assert ensemble.files == {"7/model.json": b"{}"}
    # The keeper writes what a release would send.
    parsed = parse_config(config_text(engine))
    assert json.loads(config_as_json(config_text(engine), name)) == json.loads(engine.config)
    assert parsed.instance_group[0].kind == parsed.instance_group[0].KIND_GPU
    assert steps_of("m", [name, "n-7-engine_0123abcd", "m-7-engine_x"]) == [name]


def test_only_an_ensemble_around_onnx_has_a_place_for_an_engine() -> None:
    options = PipelineOptions(2, 256, "ensemble", "onnxruntime")
    fused = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")))
    ensemble = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")), options)
    assert takes_engine(ensemble | {"model.onnx": b"network"})
    assert not takes_engine(ensemble | {"model.plan": b"an engine of its own"})
    assert not takes_engine(fused | {"model.onnx": b"network"})


def test_an_ensemble_calls_the_same_steps_under_whatever_name_it_is_loaded() -> None:
    options = PipelineOptions(2, 256, "ensemble")
    files = pipeline_files(TEMPLATES, "m", 7, card(("a", "b")), options)
    files |= {"model.onnx": b"network", "model.json": b"{}"}
    *steps, top = model_loads(files, "m-candidate", 7, role=Role.CANARY)
    called = json.loads(top.config)["ensemble_scheduling"]["step"]
    assert [step["model_name"] for step in called] == [step.name for step in steps]
    assert [step.name for step in steps] == ["m-7-preprocess", "m-7-infer", "m-7-record"]
    assert top.name == "m-candidate"
    assert json.loads(steps[2].config)["parameters"]["role"] == {"string_value": "canary"}


def test_steps_are_told_from_models_of_similar_names() -> None:
    loaded = ["m", "m-7-infer", "m-7-record", "m-candidate", "m-x-7-infer", "n-7-infer"]
    assert steps_of("m", loaded) == ["m-7-infer", "m-7-record"]


def test_overloaded_servers_refuse_instead_of_queueing() -> None:
    options = PipelineOptions(3, 17, preferred_batch_size=4)
    config = pipeline_files(TEMPLATES, "m", 1, card(("a", "b")), options)["config.pbtxt"]
    parsed = json.loads(config_as_json(config, "m"))
    policy = parsed["dynamic_batching"]["default_queue_policy"]
    assert (policy["max_queue_size"], policy["allow_timeout_override"]) == (17, True)
    assert parsed["dynamic_batching"]["preferred_batch_size"] == [4]
    assert parsed["instance_group"] == [{"kind": "KIND_CPU", "count": 3}]


def test_a_pipeline_has_the_instances_that_are_set_else_one_per_core() -> None:
    more = usable_cores() + 1
    assert PipelineOptions.of(Settings(serving_instances=more)).instances == more
    assert PipelineOptions.of(Settings(serving_instances=0)).instances == usable_cores()


@pytest.mark.parametrize(
    ("latency_ms", "images"), [(0.0, 8), (0.28, 8), (1.25, 8), (2.5, 4), (9.0, 1), (40.0, 1)]
)
def test_batches_keep_an_instance_busy_for_ten_milliseconds(latency_ms: float, images: int) -> None:
    assert preferred_batch_size(latency_ms) == images
