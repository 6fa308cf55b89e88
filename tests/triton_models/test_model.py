import hashlib
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from visionops_assets.contracts import ModelCard, Prediction, PreprocessingSpec, Role
from visionops_assets.contracts.preprocessing import RegionOfInterest
from visionops_assets.settings import Settings
from visionops_assets.vision.monitoring.quality import QUALITY_MEASURES
from visionops_assets.vision.preprocessing import encode_frame

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


OUTPUTS = (
    "LABEL",
    "PROBABILITIES",
    "EMBEDDING",
    "PREDICTION_ID",
    "MODEL_VERSION",
    "SNAPSHOT_ID",
)


class FakeRecorder:
    def __init__(self, _open_producer: Any, topic: str, _report: Any) -> None:
        self.topic = topic
        self.answered: list[Any] = []
        self.closed = False

    def record(self, answered: Any) -> None:
        self.answered.append(answered)

    def close(self) -> None:
        self.closed = True

    @property
    def predictions(self) -> list[Prediction]:
        return [answered.to_prediction() for answered in self.answered]


def png(level: int) -> bytes:
    return encode_frame(np.full((16, 16, 3), level, np.uint8))


def request(*images: bytes, outputs: tuple[str, ...] = OUTPUTS, **parameters: Any) -> Any:
    array = np.array([[image] for image in images], dtype=np.object_)
    return SimpleNamespace(
        inputs={"IMAGE": array},
        parameters=lambda: json.dumps(parameters) if parameters else "",
        requested_output_names=lambda: list(outputs),
    )


def arguments(folder: Path, **parameters: str) -> dict[str, str]:
    said = {"model": "classifier", "version": "7", "role": "champion"} | parameters
    config = {"parameters": {name: {"string_value": value} for name, value in said.items()}}
    return {
        "model_name": "classifier-rehearsal",
        "model_version": folder.name,
        "model_repository": str(folder.parent),
        "model_config": json.dumps(config),
    }


@pytest.fixture(autouse=True)
def quiet_limits(triton_backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own process must keep its memory and its threads."""
    steps = importlib.import_module("steps")
    monkeypatch.setattr(steps, "_limit_memory", lambda _: None)
    monkeypatch.setattr(steps.cv2, "setNumThreads", lambda _: None)
    monkeypatch.setattr(steps, "Recorder", FakeRecorder)
    monkeypatch.setattr(steps, "load_settings", lambda: Settings(max_predicted_image_bytes=1_000))


@pytest.fixture
def folder(version_folder: Path) -> Path:
    onnx.save(brightness_model(), version_folder / "model.onnx")
    (version_folder / "model.json").write_text(CARD.model_dump_json())
    return version_folder


@pytest.fixture
def model(folder: Path) -> Iterator[Any]:
    model = importlib.import_module("model").TritonPythonModel()
    model.initialize(arguments(folder))
    yield model
    model.finalize()
    assert model._observer._recorder.closed


def test_requests_of_several_sizes_get_their_own_answers_in_order(model: Any) -> None:
    responses = model.execute([request(png(250)), request(png(5), png(250)), request(png(5))])
    labels = [[label.decode() for label in r.outputs["LABEL"][:, 0]] for r in responses]
    assert labels == [["bright"], ["dark", "bright"], ["dark"]]
    assert [r.outputs["PROBABILITIES"].shape for r in responses] == [(1, 2), (2, 2), (1, 2)]
    assert [r.outputs["EMBEDDING"].shape for r in responses] == [(1, 3), (2, 3), (1, 3)]
    assert responses[1].outputs["MODEL_VERSION"].tolist() == [[7], [7]]
    assert responses[1].outputs["SNAPSHOT_ID"].tolist() == [[b"snapshot-1"]] * 2


def test_only_the_outputs_that_were_asked_for_are_made(model: Any) -> None:
    (response,) = model.execute([request(png(250), outputs=("LABEL",))])
    assert list(response.outputs) == ["LABEL"]


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


def test_an_image_that_is_too_large_or_takes_too_much_memory_is_refused(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = png(250) + bytes(model._preprocess._max_bytes)
    at_limit, above = (
        large[: model._preprocess._max_bytes],
        large[: model._preprocess._max_bytes + 1],
    )
    for refused in (above, large):
        (response,) = model.execute([request(refused)])
        assert str(response.error).startswith("too_large: ")
    (response,) = model.execute([request(at_limit)])
    assert response.outputs["LABEL"][0, 0] == b"bright"

    def exhaust(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(sys.modules["steps"], "preprocess_image", exhaust)
    (response,) = model.execute([request(png(250))])
    assert str(response.error).startswith("decoder_crashed: ")


def test_what_is_recorded_is_what_was_answered(model: Any) -> None:
    images = png(250), png(5)
    (response,) = model.execute([request(*images)])
    recorded = model._observer._recorder.predictions
    ids = [i.decode() for i in response.outputs["PREDICTION_ID"][:, 0]]
    assert [str(prediction.prediction_id) for prediction in recorded] == ids
    assert len(set(ids)) == 2
    assert [prediction.label for prediction in recorded] == ["bright", "dark"]
    assert [p.image_sha256 for p in recorded] == [hashlib.sha256(i).hexdigest() for i in images]
    for prediction, probabilities in zip(recorded, response.outputs["PROBABILITIES"], strict=True):
        assert prediction.probabilities == pytest.approx(probabilities.tolist())
        assert (prediction.model_name, prediction.model_version) == ("classifier", 7)
        assert (prediction.snapshot_id, prediction.role) == ("snapshot-1", Role.CHAMPION)
        read = Prediction.model_validate_json(prediction.model_dump_json())
        assert read.model_dump(exclude={"image"}) == prediction.model_dump(exclude={"image"})


def test_the_quality_of_each_frame_is_recorded(model: Any) -> None:
    model.execute([request(png(255)), request(png(0), png(51))])
    recorded = model._observer._recorder.predictions
    assert {len(prediction.quality) for prediction in recorded} == {len(QUALITY_MEASURES)}
    brightness = [prediction.quality[0] for prediction in recorded]
    assert brightness == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize(("said", "kept"), [(True, True), (False, False)])
def test_images_are_kept_for_those_who_ask(model: Any, said: object, kept: bool) -> None:
    model._observer._sample_rate = 0.0
    images = png(250), png(5)
    model.execute([request(*images, keep_image=said), request(png(9))])
    found = [prediction.image for prediction in model._observer._recorder.predictions]
    assert found == [*(images if kept else (None, None)), None]


@pytest.mark.parametrize("name", ["record", "keep_image"])
@pytest.mark.parametrize("said", ["false", "true", 0, 1, 0.5, None, [], {}])
def test_a_parameter_of_another_type_is_refused_to_its_request_alone(
    model: Any, name: str, said: Any
) -> None:
    bad, good = model.execute([request(png(5), **{name: said}), request(png(250), timeout=5)])
    assert str(bad.error).startswith(f"invalid_request: The parameter {name} is no boolean.")
    assert bad.error.code == 3
    assert good.outputs["LABEL"][0, 0] == b"bright"
    assert len(model._observer._recorder.answered) == 1


def test_filters_hold_for_the_sources_that_they_name(model: Any) -> None:
    """The left half of the picture is dark: the region of one camera leaves it out."""
    region = RegionOfInterest(left=0.5, sources=("gate-*",))
    spec = PreprocessingSpec(size_px=8, filters=(region,))
    preprocessor = sys.modules["steps"].Preprocessor
    model._preprocess = preprocessor(CARD.model_copy(update={"spec": spec}), Settings())
    half = encode_frame(np.repeat(np.array([[0, 255]], np.uint8), 3).reshape(1, 2, 3).repeat(2, 0))
    answers = model.execute([request(half, source=s) for s in ("gate-7", "door", "")])
    odds = [float(each.outputs["PROBABILITIES"][0, 1]) for each in answers]
    assert odds[0] > odds[1] == odds[2]
    assert odds[0] > 0.99


@pytest.mark.parametrize("said", [7, True, None, ["gate-7"]])
def test_a_source_that_is_no_text_is_refused(model: Any, said: Any) -> None:
    [bad] = model.execute([request(png(5), source=said)])
    assert str(bad.error).startswith("invalid_request: The parameter source is no text.")


def broken() -> Iterator[tuple[str, Any]]:
    """Requests that raise what nobody expects, at each place where something is asked of them."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("unexpected")

    for name in ("parameters", "requested_output_names", "inputs"):
        asked = request(png(5))
        setattr(asked, name, fail)
        yield name, asked
    asked = request(png(5))
    asked.parameters = lambda: "no json"
    yield "json", asked
    asked = request(png(5))
    asked.inputs = {"IMAGE": np.array([[5]], np.object_)}
    yield "no bytes", asked


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("asked", [pytest.param(r, id=name) for name, r in broken()])
def test_whatever_a_request_holds_the_others_of_its_batch_are_answered(
    model: Any, asked: Any, place: int
) -> None:
    batch = [request(png(250)), request(png(5), png(250))]
    batch.insert(place, asked)
    responses = model.execute(batch)
    error = responses.pop(place).error
    assert str(error).startswith("internal_error: ")
    assert error.code == 13
    assert [r.outputs["LABEL"][:, 0].tolist() for r in responses] == [
        [b"bright"],
        [b"dark", b"bright"],
    ]


def test_a_request_without_images_is_refused(model: Any) -> None:
    (response,) = model.execute([request()])
    assert str(response.error).startswith("empty: ")


@pytest.mark.parametrize("step", ["preprocess", "infer", "record"])
def test_a_step_of_an_ensemble_answers_each_request_alone(folder: Path, step: str) -> None:
    loaded = importlib.import_module(step).TritonPythonModel()
    loaded.initialize(arguments(folder))
    responses = loaded.execute([SimpleNamespace(inputs=None)] * 2)
    assert [str(r.error).partition(":")[0] for r in responses] == ["internal_error"] * 2


def test_keeping_an_image_fails_no_answer(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    strip = np.random.default_rng(0).integers(0, 256, (1, 200_000, 3), dtype=np.uint8)
    monkeypatch.setattr(model._preprocess, "_max_bytes", 1_000_000)
    strips = [encode_frame(strip), encode_frame(strip.transpose(1, 0, 2))]
    response, other = model.execute([request(*strips, keep_image=True), request(png(250))])
    assert len(response.outputs["LABEL"]) == 2
    assert other.outputs["LABEL"][0, 0] == b"bright"
    assert all(p.image for p in model._observer._recorder.predictions[:2])


def test_a_candidate_says_in_which_part_it_answered(folder: Path) -> None:
    model = importlib.import_module("model").TritonPythonModel()
    model.initialize(arguments(folder, role="shadow"))
    model.execute([request(png(250))])
    assert model._observer._recorder.predictions[0].role is Role.SHADOW


def test_a_smoke_test_is_not_recorded(model: Any) -> None:
    (response,) = model.execute([request(png(250), record=False)])
    assert response.outputs["LABEL"][0, 0] == b"bright"
    assert model._observer._recorder.answered == []


def test_a_damaged_model_is_refused_at_load(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        importlib.import_module("model").TritonPythonModel().initialize(arguments(folder))


def test_the_steps_of_an_ensemble_answer_like_the_fused_model(model: Any, folder: Path) -> None:
    steps = {}
    for name in ("preprocess", "infer", "record"):
        steps[name] = importlib.import_module(name).TritonPythonModel()
        steps[name].initialize(arguments(folder))
    asked = request(png(250), png(5))
    (bad,) = steps["preprocess"].execute([request(b"junk")])
    assert str(bad.error).startswith("unsupported_media_type: ")
    (prepared,) = steps["preprocess"].execute([asked])
    inferring = SimpleNamespace(inputs={"images": prepared.outputs["IMAGES"]})
    (inferred,) = steps["infer"].execute([inferring])
    asked.inputs |= {
        "QUALITY": prepared.outputs["QUALITY"],
        "STARTED": prepared.outputs["STARTED"],
        "INFERRED_PROBABILITIES": inferred.outputs["probabilities"],
        "INFERRED_EMBEDDING": inferred.outputs["embedding"],
    }
    (answer,) = steps["record"].execute([asked])
    (fused,) = model.execute([request(png(250), png(5))])
    for output in set(OUTPUTS) - {"PREDICTION_ID"}:
        np.testing.assert_array_equal(answer.outputs[output], fused.outputs[output])
    recorded = steps["record"]._observer._recorder.predictions
    assert [p.quality for p in recorded] == [
        p.quality for p in model._observer._recorder.predictions
    ]
    assert len(recorded) == 2
    assert recorded[0].latency_ms >= 0
    steps["record"].finalize()
    assert steps["record"]._observer._recorder.closed, "else its last predictions are lost"
