"""One small exported model, with the object store as a dictionary and MLflow as a folder."""

from pathlib import Path
from shutil import copyfile
from typing import cast
from uuid import uuid4

import numpy as np
import torch

from tests.resources.memory_store import MemoryStore
from tests.resources.whereabouts import Shelf, members_of
from visionops_assets.contracts import Candidate, ModelCard, PreprocessingSpec
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import write_snapshot
from visionops_assets.resources.tracking import Tracking
from visionops_assets.tasks.running import run
from visionops_assets.vision.architectures import EmbeddingNetwork, build
from visionops_assets.vision.inference import save_weights
from visionops_assets.vision.preprocessing import Frame

SIZE_PX = 16
CARD = ModelCard(
    architecture="resnet-tiny",
    classes=("a", "b", "c"),
    embedding_size=96,
    spec=PreprocessingSpec(size_px=SIZE_PX),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    snapshot_id="ds-test",
    seed=0,
)
NAME = "classifier"
CANDIDATE = Candidate(
    model_name=NAME, model_version=1, mlflow_run_id="run", snapshot_id=CARD.snapshot_id
)


class Store(MemoryStore):
    """The object store as a dictionary."""

    @property
    def resource(self) -> ObjectStore:
        return cast("ObjectStore", self)


class FolderTracking:
    """MLflow as a folder that holds the files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logged: list[str] = []
        self.tags: dict[str, str] = {}

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        assert run_id == CANDIDATE.mlflow_run_id
        path = to / Path(artifact_path).name
        copyfile(self.folder / path.name, path)
        return path

    def run_tags(self, run_id: str) -> dict[str, str]:
        assert run_id == CANDIDATE.mlflow_run_id
        return self.tags

    def log_file(self, run_id: str, path: Path) -> None:
        assert path.is_file()
        self.logged.append(path.name)

    def version_run_id(self, model_name: str, version: int) -> str:
        assert (model_name, version) == (CANDIDATE.model_name, CANDIDATE.model_version)
        return CANDIDATE.mlflow_run_id

    @property
    def resource(self) -> Tracking:
        return cast("Tracking", self)


def pictures(count: int) -> Frame:
    """Return frames that differ in colour and brightness."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (count, 1, 1, 3))
    noise = rng.integers(-40, 40, (count, SIZE_PX, SIZE_PX, 3))
    return np.asarray(np.clip(colours + noise, 0, 255), np.uint8)


def balanced_classifier(images: Frame) -> EmbeddingNetwork:
    """Build fresh weights whose answers on these images are many and clear, but not trained."""
    torch.manual_seed(0)
    module = build(CARD.architecture, len(CARD.classes)).eval()
    embeddings = run(module, images, CARD)["embedding"]
    centred = torch.from_numpy(embeddings - embeddings.mean(axis=0))
    # The three directions in which the embeddings differ most, scaled to logits of about +-4.
    directions = torch.pca_lowrank(centred, q=len(CARD.classes))[2].T
    directions = 4 * directions / (centred @ directions.T).std(dim=0)[:, None]
    with torch.no_grad():
        module.head.weight.copy_(directions)
        module.head.bias.copy_(-(torch.from_numpy(embeddings.mean(axis=0)) @ directions.T))
    return module


def classifier_and_pictures(count: int) -> tuple[EmbeddingNetwork, Frame]:
    """Return such a classifier, and the pictures that it is surest of: INT8 must agree there."""
    candidates = pictures(4 * count)
    module = balanced_classifier(candidates)
    surest = run(module, candidates, CARD)["probabilities"].max(axis=1).argsort()[-count:]
    return module, candidates[np.sort(surest)]


class Workshop:
    """A candidate in MLflow, its snapshot in the object store: ready to be exported.

    What the model itself answers is taken for the truth, so its accuracy is 1.
    """

    def __init__(self, folder: Path, *, black_training_side: bool = False) -> None:
        self.store, self.tracking = Store(), FolderTracking(folder)
        module, images = classifier_and_pictures(120)
        save_weights(module, folder / "model.safetensors")
        (folder / "model.json").write_text(CARD.model_dump_json())
        labels = run(module, images, CARD)["probabilities"].argmax(axis=1)
        sides = ["train"] * 60 + ["holdout"] * 60
        members = members_of([str(uuid4()) for _ in labels], SIZE_PX)
        members["label"] = [CARD.classes[label] for label in labels]
        members["split"] = sides
        if black_training_side:
            images[:60] = 0
        self.shelf = Shelf(self.store)
        self.shelf.put(images, members["frame_id"].tolist(), "media-0-0-1")
        write_snapshot(self.store.resource, CARD.snapshot_id, members)
