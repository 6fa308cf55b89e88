"""A trained model comes back from its run as it was written, or it is said that it does not."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from tests.stages.serving_exports import CANDIDATE, CARD, FolderTracking
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.resources.tracking import MODEL_FOLDER
from visionops_assets.resources.training_run import TrainingRun
from visionops_assets.stages.model_files import FILES, WEIGHTS_FILE, checksums_in, download_model
from visionops_assets.stages.training.fitting import log_model
from visionops_assets.vision.architectures import EmbeddingNetwork, build
from visionops_assets.vision.inference import save_weights
from visionops_assets.vision.training import TrainedModel

RUN_ID = CANDIDATE.mlflow_run_id


@pytest.fixture
def run(tmp_path: Path) -> FolderTracking:
    """A run with a model."""
    return run_with(network(0), tmp_path / "run")


def run_with(module: EmbeddingNetwork, folder: Path) -> FolderTracking:
    folder.mkdir()
    run = FolderTracking(folder)
    save_weights(module, folder / WEIGHTS_FILE)
    (folder / CARD_FILE).write_text(CARD.model_dump_json())
    run.tags |= checksums_in(folder)
    return run


def network(seed: int, classes: int = len(CARD.classes)) -> EmbeddingNetwork:
    torch.manual_seed(seed)
    return build(CARD.architecture, classes)


def read(run: FolderTracking) -> EmbeddingNetwork:
    to = run.folder.parent / "to"
    to.mkdir()
    module, card = download_model(run.resource, RUN_ID, to)
    assert card == CARD
    return module


def test_what_was_written_is_read(run: FolderTracking) -> None:
    read_back, written = read(run).state_dict(), network(0).state_dict()
    assert read_back.keys() == written.keys()
    for name, tensor in written.items():
        torch.testing.assert_close(read_back[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1], ids=["begin", "middle", "end"])
def test_a_flipped_bit_is_told_of(run: FolderTracking, name: str, place: float) -> None:
    data = bytearray((run.folder / name).read_bytes())
    data[int(place * len(data)) if place > 0 else int(place)] ^= 1
    (run.folder / name).write_bytes(data)
    with pytest.raises(DamagedArtifactError, match=f"{name} of MLflow run run is not what was"):
        read(run)


def test_a_run_of_an_earlier_version_has_no_checksums_and_is_read(run: FolderTracking) -> None:
    run.tags.clear()
    read(run)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"other bytes", b"{}", bytes(100)], ids=len)
def test_damage_is_told_without_checksums_too(
    run: FolderTracking, name: str, content: bytes
) -> None:
    run.tags.clear()
    (run.folder / name).write_bytes(content)
    with pytest.raises(DamagedArtifactError, match=f"{name} of MLflow run run is not what was"):
        read(run)


def test_weights_of_another_network_are_told_of(tmp_path: Path) -> None:
    run = run_with(network(0, classes=9), tmp_path / "run")
    with pytest.raises(DamagedArtifactError, match=WEIGHTS_FILE):
        read(run)


class LoggedRun:
    """Takes what a training leaves in its run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tags: dict[str, str] = {}

    def log_file(self, path: Path, folder: str) -> None:
        (self.folder / folder).mkdir(exist_ok=True)
        shutil.copy(path, self.folder / folder)

    def log_interface(self, *_: object) -> None:
        """Of no interest here."""

    def tag(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags


def test_a_training_leaves_the_checksums_of_its_model(tmp_path: Path) -> None:
    run = LoggedRun(tmp_path)
    trained = SimpleNamespace(module=network(0), card=CARD)
    log_model(cast("TrainingRun", run), cast("TrainedModel", trained), b"curves")
    assert run.tags == checksums_in(tmp_path / MODEL_FOLDER)
    assert len(run.tags) == len(FILES)
