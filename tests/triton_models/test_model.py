import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from visionops_assets.contracts import ModelCard, Prediction, PreprocessingSpec
from visionops_assets.vision.preprocessing import encode_png

CARD = ModelCard(
    architecture="brightness",
    classes=("dark", "bright"),
    embedding_size=3,
    spec=PreprocessingSpec(size_px=8),
    mean=(0.5, 0.5, 0.5),
    std=(1, 1, 1),
    snapshot_id="snapshot-1",
    seed=0,
)


def brightness_model() -> onnx.ModelProto:
    """Embedding: the mean of each channel. Probabilities: softmax of (-sum, +sum) of it."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    weights = np.array([[-9, 9]] * 3, dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3]),
        ],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


class FakeRecorder:
    def __init__(self, _open_producer: Any, topic: str, _report: Any) -> None:
        self.topic = topic
        self.predictions: list[Prediction] = []
        self.closed = False

    def record(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)

    def close(self) -> None:
        self.closed = True


def png(level: int) -> bytes:
    return encode_png(np.full((16, 16, 3), level, np.uint8))


def request(*images: bytes, **parameters: Any) -> Any:
    array = np.array([[image] for image in images], dtype=np.object_)
    return SimpleNamespace(images=array, parameters=lambda: json.dumps(parameters))


@pytest.fixture
def model(
    triton_backend: ModuleType, version_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    onnx.save(brightness_model(), version_folder / "model.onnx")
    (version_folder / "model.json").write_text(CARD.model_dump_json())
    module = importlib.import_module("model")
    monkeypatch.setattr(module, "Recorder", FakeRecorder)
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_name": "classifier",
            "model_version": "1",
            "model_repository": str(version_folder.parent),
        }
    )
    yield model
    model.finalize()
    assert model._recorder.closed


def test_requests_of_several_sizes_get_their_own_answers_in_order(model: Any) -> None:
    responses = model.execute([request(png(250)), request(png(5), png(250)), request(png(5))])
    labels = [[label.decode() for label in r.outputs["LABEL"][:, 0]] for r in responses]
    assert labels == [["bright"], ["dark", "bright"], ["dark"]]
    assert [r.outputs["PROBABILITIES"].shape for r in responses] == [(1, 2), (2, 2), (1, 2)]
    assert [r.outputs["EMBEDDING"].shape for r in responses] == [(1, 3), (2, 3), (1, 3)]
    assert responses[1].outputs["MODEL_VERSION"].tolist() == [[1], [1]]


def test_a_bad_image_gets_an_error_with_its_code_and_the_others_are_answered(model: Any) -> None:
    bad = [b"", b"no image at all", png(9)[:40]]
    good = [request(png(250)), request(png(5))]
    responses = model.execute([good[0], *map(request, bad), good[1]])
    codes = [str(r.error).partition(":")[0] for r in responses if r.error]
    assert codes == ["empty", "unsupported_media_type", "corrupt"]
    assert [r.outputs["LABEL"][0, 0] for r in responses if not r.error] == [b"bright", b"dark"]


def test_a_batch_of_bad_images_alone_is_answered_too(model: Any) -> None:
    (response,) = model.execute([request(b"")])
    assert response.error is not None


def test_what_is_recorded_is_what_was_answered(model: Any) -> None:
    (response,) = model.execute([request(png(250), png(5))])
    recorded = model._recorder.predictions
    ids = [i.decode() for i in response.outputs["PREDICTION_ID"][:, 0]]
    assert [str(prediction.prediction_id) for prediction in recorded] == ids
    assert len(set(ids)) == 2
    assert [prediction.label for prediction in recorded] == ["bright", "dark"]
    for prediction, probabilities in zip(recorded, response.outputs["PROBABILITIES"], strict=True):
        assert prediction.probabilities == pytest.approx(probabilities.tolist())
        assert (prediction.model_version, prediction.snapshot_id) == (1, "snapshot-1")
        assert Prediction.model_validate_json(prediction.model_dump_json()) == prediction


def test_a_smoke_test_is_not_recorded(model: Any) -> None:
    (response,) = model.execute([request(png(250), record=False)])
    assert response.outputs["LABEL"][0, 0] == b"bright"
    assert model._recorder.predictions == []


def test_a_damaged_model_is_refused_at_load(model: Any, version_folder: Path) -> None:
    (version_folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        type(model)().initialize(
            {
                "model_name": "classifier",
                "model_version": "1",
                "model_repository": str(version_folder.parent),
            }
        )
