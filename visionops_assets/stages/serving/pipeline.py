"""Renders the served pipeline of one model version, and tells what Triton must load of it.

There are two layouts of the same inputs and outputs, made of one set of templates: one model that
does all steps, and an ensemble of three around a network that runs on a GPU. The steps of an
ensemble are models of their own, named after the version they belong to.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import jinja2
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from visionops_assets.contracts import ModelCard, Role
from visionops_assets.errors import ReleaseError
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages.serving.manifest import Files

CONFIG_FILE = "config.pbtxt"
ENSEMBLE_TEMPLATE = "ensemble.pbtxt"
CARD_FILE = "model.json"
ONNX_FILE = "model.onnx"
ENGINE_FILE = "model.plan"
MAX_BATCH_SIZE = 32
MAX_PREFERRED_BATCH = 8
BATCH_MS = 10.0
"""An instance should be busy with a batch for no longer: what waits goes to the next free one."""

STEPS = ("preprocess", "infer", "record")
_ENTRY_POINTS = ("model.py", *(f"{step}.py" for step in STEPS))
_STEP_NAME = re.compile(rf"(?P<model>.+)-\d+-(?:{'|'.join(STEPS)})")


@dataclass(frozen=True)
class PipelineOptions:
    """How the pipeline is laid out, and how much of a Triton server it may take."""

    instances: int
    max_queue: int
    layout: Literal["fused", "ensemble"] = "fused"
    backend: Literal["python", "onnxruntime", "tensorrt"] = "python"
    preferred_batch_size: int = MAX_PREFERRED_BATCH

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from the settings; by default an instance a core of this machine."""
        return cls(
            settings.serving_instances or len(os.sched_getaffinity(0)),
            settings.serving_max_queue,
            settings.serving_layout,
            settings.serving_backend,
        )


def preferred_batch_size(latency_ms: float) -> int:
    """Return how many images are best run at once, by the network's time for one.

    Small networks gain by sharing what a call costs. Large ones gain nothing on a CPU, and while
    one instance is busy with all that waited, the others are idle.
    """
    if latency_ms * MAX_PREFERRED_BATCH <= BATCH_MS:
        return MAX_PREFERRED_BATCH
    return max(1, int(BATCH_MS / latency_ms))


@dataclass(frozen=True)
class ModelLoad:
    """One load request: Triton's name of a model, its configuration as JSON, and its files.

    The files are by their path below the model's folder.
    """

    name: str
    config: str
    files: Files


def pipeline_files(
    template_dir: Path,
    model_name: str,
    model_version: int,
    card: ModelCard,
    options: PipelineOptions | None = None,
) -> Files:
    """Return the served pipeline's code and its rendered configurations.

    Raises:
        ReleaseError: a configuration is not one that Triton understands.
    """
    options = options or PipelineOptions.of(load_settings())
    # A configuration is no markup: quotes in class names are escaped as JSON by the template.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    is_fused = options.layout == "fused"
    templates = (
        {CONFIG_FILE: CONFIG_FILE}
        if is_fused
        else {CONFIG_FILE: ENSEMBLE_TEMPLATE} | {f"{s}.pbtxt": f"{s}.pbtxt" for s in STEPS}
    )
    others = _ENTRY_POINTS[1:] if is_fused else _ENTRY_POINTS[:1]
    code = [path for path in sorted(template_dir.glob("*.py")) if path.name not in others]
    files = {path.name: path.read_bytes() for path in code}
    for name, template in templates.items():
        config = environment.get_template(f"{template}.j2").render(
            model_name=model_name,
            model_version=model_version,
            card=card,
            max_batch_size=MAX_BATCH_SIZE,
            steps={step: _step_name(model_name, model_version, step) for step in STEPS},
            **vars(options),
        )
        _parse(config.encode())
        files[name] = config.encode()
    return files


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
    shared_code = [name for name in files if name.endswith(".py") and name not in _ENTRY_POINTS]
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


def _names_of_steps(files: Files) -> dict[str, str]:
    """Return Triton's name of each step, in their order; none if one model does all."""
    configs = {step: files[f"{step}.pbtxt"] for step in STEPS if f"{step}.pbtxt" in files}
    return {step: _parse(config).name for step, config in configs.items()}


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
    parsed = _parse(config)
    parsed.name = model_name
    if instances is not None and parsed.instance_group:
        parsed.instance_group[0].count = instances
    if role is not None:
        parsed.parameters["role"].string_value = role.value
    return str(json_format.MessageToJson(parsed, preserving_proto_field_name=True))


def _parse(config: bytes) -> model_config_pb2.ModelConfig:
    try:
        return text_format.Parse(config, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ReleaseError(f"The rendered {CONFIG_FILE} does not parse: {error}") from error


def _step_name(model_name: str, model_version: int, step: str) -> str:
    return f"{model_name}-{model_version}-{step}"
