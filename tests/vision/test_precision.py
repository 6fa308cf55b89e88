from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from tests.vision.conftest import Digits
from visionops_assets.tasks.registry import judging
from visionops_assets.tasks.running import export, open_onnx, run
from visionops_assets.vision.parity import Parity
from visionops_assets.vision.precision import (
    Runtime,
    _Batches,
    calibration_sample,
    quantize,
    to_float16,
)
from visionops_assets.vision.preprocessing import to_network_input
from visionops_assets.vision.training import TrainedModel


@pytest.fixture(scope="module")
def onnx_path(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("precision") / "model.onnx"
    export(trained.module, trained.card, path)
    return path


def parity_of(path: Path, trained: TrainedModel, digits: Digits) -> Parity:
    """Compare on images that it was not trained on."""
    held = slice(400, None)
    reference = run(trained.module, digits.images[held], trained.card)
    answers = open_onnx(path, trained.card).predict(digits.images[held])
    return judging("classification").parity(reference, answers, digits.labels[held], trained.card)


def types_of_constants(model: onnx.ModelProto) -> Counter[str]:
    return Counter(TensorProto.DataType.Name(c.data_type) for c in model.graph.initializer)


@pytest.mark.parametrize("runtime", ["cpu", "tensorrt"])
def test_int8_keeps_to_pytorch(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path, runtime: Runtime
) -> None:
    path = tmp_path / "int8.onnx"
    quantize(onnx_path, digits.images[:128], trained.card, path, runtime=runtime)
    parity = parity_of(path, trained, digits)
    assert parity.label_agreement > 0.95
    assert parity.reference_accuracy - parity.accuracy < 0.03
    assert 0 < parity.max_probability_error < 0.4
    model = onnx.load(path)
    assert [output.name for output in model.graph.output] == ["probabilities", "embedding"]
    dequantized = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 10
    assert all(set(node.input[:2]) <= dequantized for node in convolutions)
    assert path.stat().st_size < 0.5 * onnx_path.stat().st_size
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


def test_what_tensorrt_cannot_read_is_not_in_its_graph(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    """It wants symmetric signed activations, and biases that are not quantized."""
    path = tmp_path / "int8.onnx"
    quantize(onnx_path, digits.images[:64], trained.card, path, runtime="tensorrt")
    model = onnx.load(path)
    assert not {"UINT8", "INT32"} & types_of_constants(model).keys()
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    zero_points = [
        constants[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"
    ]
    assert len(zero_points) > 10
    assert not any(zero_point.any() for zero_point in zero_points)


def test_weights_for_cpus_leave_room_for_sums_of_16_bits(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    """Without VNNI two products are added in 16 bits: 2 * 255 * 64 is what they hold."""
    path = tmp_path / "int8.onnx"
    quantize(onnx_path, digits.images[:64], trained.card, path, runtime="cpu")
    weights = [
        numpy_helper.to_array(constant)
        for constant in onnx.load(path).graph.initializer
        if constant.data_type == TensorProto.INT8 and constant.dims
    ]
    assert max(int(np.abs(w.astype(int)).max()) for w in weights if w.size > 1) == 64


def test_calibration_on_the_wrong_pictures_ruins_it_and_the_comparison_says_so(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    black = np.zeros_like(digits.images[:64])
    quantize(onnx_path, black, trained.card, path, runtime="cpu")
    parity = parity_of(path, trained, digits)
    assert parity.reference_accuracy - parity.accuracy > 0.2


def test_no_pictures_to_calibrate_on_are_refused(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="at least one"):
        quantize(onnx_path, digits.images[:0], trained.card, tmp_path / "q.onnx", runtime="cpu")


def test_fp16_keeps_to_pytorch_and_its_head_stays_float32(
    onnx_path: Path, trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    path = tmp_path / "fp16.onnx"
    to_float16(onnx_path, path)
    parity = parity_of(path, trained, digits)
    assert parity.label_agreement == 1
    assert 0 < parity.max_probability_error < 0.02
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert types_of_constants(model) == {"FLOAT16": 20, "FLOAT": 2, "INT64": 2}
    values = [*model.graph.input, *model.graph.output]
    assert {value.type.tensor_type.elem_type for value in values} == {TensorProto.FLOAT}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 30))
def test_a_calibration_sample_is_fair_bounded_and_always_the_same(
    classes: list[int], most: int
) -> None:
    truth = np.array(classes, np.int64)
    chosen = calibration_sample(truth, most)
    assert len(chosen) == min(most, len(classes))
    assert list(chosen) == sorted(set(chosen.tolist()))
    assert np.array_equal(chosen, calibration_sample(truth, most))
    available, taken = Counter(classes), Counter(truth[chosen].tolist())
    most_taken = max(taken.values())
    # Only a class that has no more may have fewer than another, but for the last round.
    assert all(taken[c] >= min(available[c], most_taken - 1) for c in available)


def test_a_rare_class_is_calibrated_on_whole() -> None:
    """Of classes of 500, 5 and 50 images, 60 are 5 of the rare one, and 27 or 28 of the others."""
    truth = np.repeat([0, 1, 2], [500, 5, 50])
    counts = np.bincount(truth[calibration_sample(truth, 60)])
    assert counts[1] == 5
    assert sorted([counts[0], counts[2]]) == [27, 28]
    assert len(calibration_sample(truth)) == 256, "by default"
    assert len(np.unique(calibration_sample(truth))) == 256


def test_each_image_is_calibrated_on_once_and_few_at_a_time(trained: TrainedModel) -> None:
    size_px = trained.card.spec.size_px
    images = np.zeros((70, size_px, size_px, 3), np.uint8)
    images[:] = np.arange(70)[:, None, None, None]
    batches = _Batches(images, trained.card)
    found = list(iter(batches.get_next, None))
    (name,) = {name for batch in found for name in batch}
    assert [len(batch[name]) for batch in found] == [32, 32, 6]
    joined = np.concatenate([batch[name] for batch in found])
    assert np.array_equal(joined, to_network_input(images, trained.card))
