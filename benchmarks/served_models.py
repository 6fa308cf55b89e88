"""The models that serving is measured with: networks with random weights, from tiny to heavy.

What they answer is of no interest, only what it costs; so nothing is trained.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tritonclient.grpc import InferenceServerClient

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.releasing.loading import config_as_json
from visionops_assets.releasing.pipeline import (
    PipelineOptions,
    pipeline_files,
    preferred_batch_size,
)
from visionops_assets.resources.triton import ADMIN_KEY_HEADER
from visionops_assets.settings import Settings
from visionops_assets.tasks.running import export, open_onnx
from visionops_assets.vision.architectures import build
from visionops_assets.vision.parity import median_latency_ms

CLASSES = tuple("0123456789")
TEMPLATE = "classifier"
VERSION = 1


@dataclass(frozen=True)
class BenchmarkModel:
    """A network, the size of its frames, and how many requests make a measurement of ~2 s."""

    name: str
    architecture: str
    size_px: int
    requests: int

    def write(self, folder: Path) -> ModelCard:
        """Write `model.onnx` and `model.json` into a new folder."""
        folder.mkdir()
        torch.manual_seed(0)
        module = build(self.architecture, len(CLASSES)).eval()
        card = ModelCard(
            architecture=self.architecture,
            classes=CLASSES,
            embedding_size=module.embedding_size,
            spec=PreprocessingSpec(size_px=self.size_px),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            snapshot_id="benchmark",
            seed=0,
        )
        export(module, card, folder / "model.onnx")
        (folder / "model.json").write_text(card.model_dump_json())
        return card

    def load(self, folder: Path, settings: Settings, name: str) -> None:
        """Load what `write` wrote into Triton, as a release would, under `name`."""
        card = ModelCard.model_validate_json((folder / "model.json").read_bytes())
        frame = np.zeros((self.size_px, self.size_px, 3), np.uint8)
        latency_ms = median_latency_ms(open_onnx(folder / "model.onnx", card).predict, frame)
        options = replace(
            PipelineOptions.of(settings), preferred_batch_size=preferred_batch_size(latency_ms)
        )
        templates = settings.project_root / "triton_models" / TEMPLATE
        files = pipeline_files(templates, name, VERSION, card, options)
        files |= {path.name: path.read_bytes() for path in folder.iterdir()}
        key = settings.triton_admin_key
        with InferenceServerClient(settings.triton_grpc_address) as triton:
            triton.load_model(
                name,
                headers={ADMIN_KEY_HEADER: key.get_secret_value()} if key else {},
                config=config_as_json(files["config.pbtxt"], name),
                files={f"file:{VERSION}/{file}": data for file, data in files.items()},
            )


TINY = BenchmarkModel("resnet-tiny at 64 px", "resnet-tiny", 64, 1_200)
LIGHT = BenchmarkModel("resnet-tiny at 224 px", "resnet-tiny", 224, 600)
HEAVY = BenchmarkModel("resnet-18 at 224 px", "resnet-18", 224, 192)
MODELS = (TINY, LIGHT, HEAVY)
