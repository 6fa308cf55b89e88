"""Names the models, configurations and files that Triton loads of a version's folder."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from visionops_assets.contracts import Role
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.manifest import Files

CONFIG_FILE = "config.pbtxt"
CARD_FILE = "model.json"
ONNX_FILE = "model.onnx"
ENGINE_FILE = "model.plan"
ENGINE_BACKEND = "tensorrt"
STEPS = ("preprocess", "infer", "record")
ENTRY_POINTS = ("model.py", *(f"{step}.py" for step in STEPS))
_ENGINE_STEP = r"engine_[0-9a-f]{8}"
_STEP_NAME = re.compile(rf"(?P<model>.+)-\d+-(?:{'|'.join((*STEPS, _ENGINE_STEP))})")


@dataclass(frozen=True)
class ModelLoad:
    """One load request: Triton's name of a model, its configuration as JSON, and its files.

    The files are by their path below the model's folder.
    """

    name: str
    config: str
    files: Files


def model_loads(
    files: Files,
    model_name: str,
    model_version: int,
    *,
    instances: int | None = None,
    role: Role | None = None,
) -> list[ModelLoad]:
    """Return what Triton must load of a version folder, in this order, to serve it.

    It is served under `model_name`, which need not be the model's own; the steps of an ensemble
    keep the names that the ensemble calls them by. `instances` replaces the number of instances,
    and `role` the part in which it answers.

    Raises:
        ReleaseError: a configuration of the folder does not parse.
    """
    config = config_as_json(files[CONFIG_FILE], model_name, instances, role)
    network = ENGINE_FILE if ENGINE_FILE in files else ONNX_FILE
    steps = _names_of_steps(files)
    shared_code = [name for name in files if name.endswith(".py") and name not in ENTRY_POINTS]
    if not steps:
        names = (*shared_code, "model.py", CARD_FILE, network)
        return [ModelLoad(model_name, config, {f"{model_version}/{n}": files[n] for n in names})]
    loads = []
    for step, name in steps.items():
        step_files = {f"1/{name}": files[name] for name in (*shared_code, CARD_FILE)}
        step_files["1/model.py"] = files[f"{step}.py"]
        if step == "infer":
            step_files[f"1/{network}"] = files[network]
        step_config = config_as_json(files[f"{step}.pbtxt"], name, instances, role)
        loads.append(ModelLoad(name, step_config, step_files))
    # Triton wants a version folder of an ensemble too, though there is nothing to be in it.
    top = ModelLoad(model_name, config, {f"{model_version}/{CARD_FILE}": files[CARD_FILE]})
    return [*loads, top]


def engine_loads(
    files: Files, model_name: str, model_version: int, engine_step: str, plan: bytes
) -> tuple[ModelLoad, ModelLoad]:
    """Return what lets a TensorRT engine take the place of the network of a loaded ensemble.

    That is the engine as a model of its own, `engine_step`, and the ensemble under `model_name`,
    which calls it. Both do and take the same as the network's step.

    Raises:
        ReleaseError: a configuration of the folder does not parse.
    """
    infer = parse_config(files["infer.pbtxt"])
    ensemble = parse_config(files[CONFIG_FILE])
    for step in ensemble.ensemble_scheduling.step:
        if step.model_name == infer.name:
            step.model_name = engine_step
    ensemble.name = model_name
    infer.name, infer.backend = engine_step, ENGINE_BACKEND
    return (
        ModelLoad(engine_step, _as_json(infer), {f"1/{ENGINE_FILE}": plan}),
        ModelLoad(
            model_name, _as_json(ensemble), {f"{model_version}/{CARD_FILE}": files[CARD_FILE]}
        ),
    )


def takes_engine(files: Files) -> bool:
    """Say whether an engine may take the place of a version's network: of an ensemble's ONNX file.

    A release of an earlier version may hold its engine itself.
    """
    return is_ensemble(files) and ONNX_FILE in files


def infer_step(files: Files) -> str:
    """Return Triton's name of the step that runs the network of an ensemble."""
    return str(parse_config(files["infer.pbtxt"]).name)


def is_engine(step: str) -> bool:
    """Say whether a step of an ensemble is an engine, by its name in Triton."""
    return re.fullmatch(rf".+-\d+-{_ENGINE_STEP}", step) is not None


def is_ensemble(names: Collection[str]) -> bool:
    """Say whether the files of a version, by name, are those of an ensemble."""
    return any(f"{step}.pbtxt" in names for step in STEPS)


def _names_of_steps(files: Files) -> dict[str, str]:
    """Return Triton's name of each step, in their order; none if one model does all."""
    configs = {step: files[f"{step}.pbtxt"] for step in STEPS if f"{step}.pbtxt" in files}
    return {step: parse_config(config).name for step, config in configs.items()}


def steps_of(model_name: str, loaded: list[str]) -> list[str]:
    """Return the names, among those of loaded models, of the steps of an ensemble's versions."""
    matches = [(name, _STEP_NAME.fullmatch(name)) for name in loaded]
    return [name for name, match in matches if match and match["model"] == model_name]


def config_as_json(
    config: bytes, model_name: str, instances: int | None = None, role: Role | None = None
) -> str:
    """Turn a config.pbtxt into the JSON that Triton takes with a load request, for `model_name`.

    `instances` replaces the number of instances, and `role` the part in which it answers.

    Raises:
        ReleaseError: it does not parse.
    """
    parsed = parse_config(config)
    parsed.name = model_name
    if instances is not None and parsed.instance_group:
        parsed.instance_group[0].count = instances
    if role is not None:
        parsed.parameters["role"].string_value = role.value
    return _as_json(parsed)


def config_text(load: ModelLoad) -> bytes:
    """Return the config.pbtxt that says the same as a load request."""
    parsed = json_format.Parse(load.config, model_config_pb2.ModelConfig())
    return str(text_format.MessageToString(parsed)).encode()


def _as_json(config: model_config_pb2.ModelConfig) -> str:
    return str(json_format.MessageToJson(config, preserving_proto_field_name=True))


def parse_config(config: bytes) -> model_config_pb2.ModelConfig:
    """Read a config.pbtxt.

    Raises:
        ReleaseError: it does not parse.
    """
    try:
        return text_format.Parse(config, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ReleaseError(f"The rendered {CONFIG_FILE} does not parse: {error}") from error
