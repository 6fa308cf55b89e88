"""Renders the served pipeline of one model version, and makes Triton's load requests for it.

Two layouts with the same inputs and outputs come from one set of templates: one model that does all
steps, and an ensemble of three around a network on a GPU. The steps of an ensemble are models of
their own, named after their version.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import jinja2

from visionops_assets.contracts import ModelCard
from visionops_assets.releasing.loading import CONFIG_FILE, ENTRY_POINTS, STEPS, parse_config
from visionops_assets.releasing.manifest import Files
from visionops_assets.settings import Settings, load_settings, usable_cores
from visionops_assets.tasks.signature import signature_of

ENSEMBLE_TEMPLATE = "ensemble.pbtxt"
MAX_BATCH_SIZE = 32
MAX_PREFERRED_BATCH = 8
BATCH_MS = 10.0
"""Longest time of one batch in an instance: waiting requests go to the next free one."""


@dataclass(frozen=True)
class PipelineOptions:
    """The layout of the pipeline, and its share of a Triton server."""

    instances: int
    max_queue: int
    layout: Literal["fused", "ensemble"] = "fused"
    backend: Literal["python", "onnxruntime", "tensorrt"] = "python"
    preferred_batch_size: int = MAX_PREFERRED_BATCH

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the options from the settings; by default, one instance per core."""
        return cls(
            settings.serving_instances or usable_cores(),
            settings.serving_max_queue,
            settings.serving_layout,
            settings.serving_backend,
        )


def preferred_batch_size(latency_ms: float) -> int:
    """Return the best number of images per batch, by the network's time for one image.

    Small networks gain by sharing the cost of a call. Large ones gain nothing on a CPU, and while
    one instance is busy with all waiting images, the others are idle.
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
        ReleaseError: Triton cannot parse a configuration.
    """
    options = options or PipelineOptions.of(load_settings())
    # A configuration is not markup: the template escapes quotes in class names as JSON.
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
            signature=signature_of(card),
            max_batch_size=MAX_BATCH_SIZE,
            steps={step: _step_name(model_name, model_version, step) for step in STEPS},
            **vars(options),
        )
        parse_config(config.encode())
        files[name] = config.encode()
    return files


def _step_name(model_name: str, model_version: int, step: str) -> str:
    return f"{model_name}-{model_version}-{step}"
