"""A multi-label model of scanned digits, from their labels to its answers as ONNX."""

from pathlib import Path

import numpy as np
import pytest

from tests.tasks.multilabel.digits import CLASSES, TASK, Pictures, read_digits, train_on
from visionops_assets.releasing.pipeline import PipelineOptions, pipeline_files
from visionops_assets.settings import Settings
from visionops_assets.tasks.registry import judging, serving
from visionops_assets.tasks.running import export, load_network, open_onnx, run
from visionops_assets.vision.inference import save_weights
from visionops_assets.vision.training import TrainedModel

TRAINED_ON = 1_200


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return read_digits()


@pytest.fixture(scope="module")
def model(pictures: Pictures) -> TrainedModel:
    return train_on(pictures.part(0, TRAINED_ON), 400)


@pytest.fixture(scope="module")
def onnx_path(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("multilabel") / "model.onnx"
    export(model.module, model.card, path)
    return path


def test_it_names_what_unseen_digits_show(model: TrainedModel, pictures: Pictures) -> None:
    unseen, labels = pictures.images[TRAINED_ON:], pictures.labels[TRAINED_ON:]
    outputs = run(model.module, unseen, model.card)
    answers, groups = serving(TASK).decode(outputs, model.card), list(map(str, range(len(unseen))))
    found = judging(TASK).evaluate(answers, labels, CLASSES)
    for name in ("macro_f1", "micro_f1"):
        assert found.score(name).estimate(groups).interval.low > 0.9 > found.score(name).trivial
    wrong = [serving(TASK).is_wrong(a, t) for a, t in zip(answers, labels, strict=True)]
    assert np.mean(wrong) < 0.15
    assert found.correct.tolist() == [not each for each in wrong]
    assert {len(answer.labels) for answer in answers} == {0, 1, 2, 3}


def test_its_card_keeps_the_thresholds_and_its_rounds_the_macro_f1(model: TrainedModel) -> None:
    assert (model.card.task, model.score) == (TASK, "macro_f1")
    assert model.card.thresholds is not None
    assert len(model.card.thresholds) == len(CLASSES)
    assert all(0 < threshold < 1 for threshold in model.card.thresholds)
    assert model.best.validation_score > 0.9
    assert type(model.card).model_validate_json(model.card.model_dump_json()) == model.card


def test_onnx_and_saved_weights_answer_alike(
    model: TrainedModel, pictures: Pictures, onnx_path: Path, tmp_path: Path
) -> None:
    images, labels = pictures.images[-64:], pictures.labels[-64:]
    reference = run(model.module, images, model.card)
    targets = judging(TASK).targets(labels, CLASSES)
    served = open_onnx(onnx_path, model.card).predict(images)
    parity = judging(TASK).parity(reference, served, targets, model.card)
    assert (parity.label_agreement, parity.accuracy) == (1, parity.reference_accuracy)
    assert parity.max_probability_error < 1e-5
    save_weights(model.module, tmp_path / "weights")
    loaded = run(load_network(tmp_path / "weights", model.card), images, model.card)
    np.testing.assert_allclose(loaded["probabilities"], reference["probabilities"], atol=1e-6)


@pytest.mark.parametrize("layout", ["fused", "ensemble"])
def test_a_release_gives_triton_the_tensors_of_the_task(model: TrainedModel, layout: str) -> None:
    templates = Settings.model_fields["project_root"].default / "triton_models" / "classifier"
    options = PipelineOptions(1, 9, layout=layout)  # type: ignore[arg-type]
    files = pipeline_files(templates, "m", 1, model.card, options)
    config = files["config.pbtxt"].decode()
    assert '{ name: "LABELS" data_type: TYPE_STRING dims: [ 1 ] }' in config
    assert '{ name: "PROBABILITIES" data_type: TYPE_FP32 dims: [ 3 ] }' in config
    assert '"LABEL"' not in config


def test_what_another_model_answers_differs(model: TrainedModel, pictures: Pictures) -> None:
    images, labels = pictures.images[-64:], pictures.labels[-64:]
    reference = run(model.module, images, model.card)
    turned = {"probabilities": 1 - reference["probabilities"]}
    targets = judging(TASK).targets(labels, CLASSES)
    parity = judging(TASK).parity(reference, turned, targets, model.card)
    assert parity.label_agreement < 0.1
    assert parity.accuracy < parity.reference_accuracy
    broken = {"probabilities": np.full_like(reference["probabilities"], np.nan)}
    parity = judging(TASK).parity(reference, broken, targets, model.card)
    assert (parity.label_agreement, parity.max_probability_error, parity.accuracy) == (0, 1, 0)


def test_calibration_takes_some_of_each_kind() -> None:
    targets = judging(TASK).targets([("even",), (), ("even",), CLASSES], CLASSES)
    kinds = judging(TASK).kinds(targets)
    assert kinds[0] == kinds[2]
    assert len(set(kinds.tolist())) == 3
