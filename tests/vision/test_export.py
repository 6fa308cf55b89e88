from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.vision.conftest import Digits
from visionops_assets.vision.architectures import build
from visionops_assets.vision.export import compare_with_onnx, export_onnx
from visionops_assets.vision.training import TrainedModel


@pytest.fixture(scope="module")
def onnx_path(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_onnx(trained.module, trained.card, path)
    return path


@pytest.mark.parametrize("count", [1, 2, 33])
def test_onnx_says_the_same_for_any_batch(
    onnx_path: Path, trained: TrainedModel, digits: Digits, count: int
) -> None:
    parity = compare_with_onnx(onnx_path, trained.module, digits.images[:count], trained.card)
    assert parity.label_agreement == 1
    assert parity.max_probability_error < 1e-5


def test_another_model_does_not_agree(
    onnx_path: Path, trained: TrainedModel, digits: Digits
) -> None:
    untrained = build("resnet-tiny", 3)
    parity = compare_with_onnx(onnx_path, untrained, digits.images[:50], trained.card)
    assert parity.label_agreement < 0.9
    assert parity.max_probability_error > 0.1


def test_no_images_are_no_proof(onnx_path: Path, trained: TrainedModel) -> None:
    with pytest.raises(ValueError, match="at least one"):
        compare_with_onnx(
            onnx_path, trained.module, np.zeros((0, 16, 16, 3), np.uint8), trained.card
        )


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
