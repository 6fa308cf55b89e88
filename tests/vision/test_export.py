from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.vision.conftest import Digits
from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.registry import judging
from visionops_assets.tasks.running import export, open_onnx, run
from visionops_assets.vision.architectures import build
from visionops_assets.vision.parity import Parity
from visionops_assets.vision.training import TrainedModel


@pytest.fixture(scope="module")
def onnx_path(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export(trained.module, trained.card, path)
    return path


def parity_with(path: Path, trained: TrainedModel, digits: Digits, count: int) -> Parity:
    images = digits.images[:count]
    reference = run(trained.module, images, trained.card)
    answers = open_onnx(path, trained.card).predict(images)
    return judging("classification").parity(reference, answers, digits.labels[:count], trained.card)


@pytest.mark.parametrize("count", [1, 2, 33])
def test_onnx_says_the_same_for_any_batch(
    onnx_path: Path, trained: TrainedModel, digits: Digits, count: int
) -> None:
    parity = parity_with(onnx_path, trained, digits, count)
    assert parity.label_agreement == 1
    assert parity.max_probability_error < 1e-5


def test_another_model_does_not_agree(
    trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    path = tmp_path / "other.onnx"
    export(build("resnet-tiny", 3), trained.card, path)
    parity = parity_with(path, trained, digits, 50)
    assert parity.label_agreement < 0.9
    assert parity.max_probability_error > 0.1
    assert parity.accuracy < parity.reference_accuracy


def test_it_is_one_file_with_the_promised_names(onnx_path: Path, trained: TrainedModel) -> None:
    model = onnx.load(onnx_path)
    onnx.checker.check_model(model, full_check=True)
    assert [p.name for p in onnx_path.parent.iterdir()] == ["model.onnx"]
    (images,) = model.graph.input
    shape = [d.dim_value or d.dim_param for d in images.type.tensor_type.shape.dim]
    assert (images.name, shape) == ("images", ["batch", 3, 16, 16])
    assert [output.name for output in model.graph.output] == ["probabilities", "embedding"]


def test_no_path_of_this_machine_is_in_it(onnx_path: Path) -> None:
    assert str(Path(__file__).parents[2]).encode() not in onnx_path.read_bytes()


def test_the_heavy_network_is_exported_as_well(trained: TrainedModel, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = build("resnet-18", 3).eval()
    card = trained.card.model_copy(update={"architecture": "resnet-18", "embedding_size": 512})
    path = tmp_path / "model.onnx"
    export(module, card, path)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    expected = run(module, images, card)
    answers = open_onnx(path, card).predict(images)
    assert np.abs(answers["probabilities"] - expected["probabilities"]).max() < 1e-4


def test_the_card_is_all_that_is_needed_to_run_it(onnx_path: Path, trained: TrainedModel) -> None:
    card = ModelCard.model_validate_json(trained.card.model_dump_json())
    found = open_onnx(onnx_path, card).predict(np.zeros((2, 16, 16, 3), np.uint8))
    answers = found["probabilities"]
    assert answers.shape == (2, len(card.classes))
    assert answers.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
