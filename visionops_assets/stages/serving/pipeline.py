"""Renders the served pipeline of one model version, and tells what Triton must load of it.

There are two layouts of the same inputs and outputs, made of one set of templates: one model that
does all steps, and an ensemble of three around a network that runs on a GPU. The steps of an
ensemble are models of their own, named after the version they belong to.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import jinja2

from visionops_assets.contracts import ModelCard
from visionops_assets.releasing.loading import CONFIG_FILE, ENTRY_POINTS, STEPS, parse_config
from visionops_assets.releasing.manifest import Files
from visionops_assets.settings import Settings, load_settings

ENSEMBLE_TEMPLATE = "ensemble.pbtxt"
MAX_BATCH_SIZE = 32
MAX_PREFERRED_BATCH = 8
BATCH_MS = 10.0
"""An instance should be busy with a batch for no longer: what waits goes to the next free one."""


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
    others = ENTRY_POINTS[1:] if is_fused else ENTRY_POINTS[:1]
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
        parse_config(config.encode())
        files[name] = config.encode()
    return files


def _step_name(model_name: str, model_version: int, step: str) -> str:
    return f"{model_name}-{model_version}-{step}"
