"""Answers of predictions, as the catalog keeps them."""

import json
from pathlib import Path

import pytest

from tests.declared import declaration
from visionops_assets.catalog import predictions as module
from visionops_assets.contracts import Prediction
from visionops_assets.models import ModelDeclaration
from visionops_assets.models import declaration as declaring
from visionops_assets.tasks.registry import TASKS

RECORD = (Path(__file__).parents[1] / "records" / "Prediction.jsonl").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("model_name", "label", "answer"),
    [
        ("one", "a, b", {"label": "a, b"}),
        ("several", "b, a", {"labels": ["a", "b"]}),
        ("several", "", {"labels": []}),
        ("several", "a, a", {"label": "a, a"}),
        ("gone", "a, b", {"label": "a, b"}),
    ],
)
def test_an_answer_has_the_form_of_its_models_task(
    monkeypatch: pytest.MonkeyPatch, model_name: str, label: str, answer: object
) -> None:
    """Anybody may write to the topic: one that does not fit is kept as text."""
    monkeypatch.setattr(declaring, "OFFERED", TASKS)
    several = ModelDeclaration.model_validate({"name": "several", "task": "multilabel"})
    monkeypatch.setattr(module, "load_models", lambda: (declaration("one"), several))
    said = json.loads(RECORD) | {"model_name": model_name, "label": label or "-"}
    prediction = Prediction.model_validate(said).model_copy(update={"label": label})
    (row,) = module._rows("log", 0, [(7, prediction)], {})
    kept = row["answer"]
    sure = kept.pop("confidence", None)
    assert kept == answer
    assert sure == (max(prediction.probabilities) if model_name == "one" else None)


CLASSES = ["blue", "green", "red"]


@pytest.mark.parametrize(
    ("label", "probabilities", "classes", "sure"),
    [
        ("blue, red", (0.5, 0.5, 1.0), CLASSES, {"confidence": 0.25}),
        ("", (0.5, 0.5, 0.0), CLASSES, {"confidence": 0.25}),
        ("", (3e38, -3e38, 0.0), CLASSES, {"confidence": 0.0}),
        ("blue", (0.5, 0.5), CLASSES, {}),
        ("blue", (0.5, 0.5, 1.0), (), {}),
        ("pink", (0.5, 0.5, 1.0), CLASSES, {}),
    ],
)
def test_a_set_is_as_sure_as_all_of_its_classes_together(
    label: str, probabilities: tuple[float, ...], classes: list[str], sure: dict[str, float]
) -> None:
    several = ModelDeclaration.model_validate({"name": "several", "task": "multilabel"})
    labels = {"labels": label.split(", ") if label else []}
    assert several.answer_of(label, probabilities, classes) == labels | sure
