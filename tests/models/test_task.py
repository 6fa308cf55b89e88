"""A declaration names a task that all of the product carries, and no other."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from visionops_assets.errors import SettingsError
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.loading import MODEL_TYPE, read_text
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import OFFERED, TASKS, judging, scores_of


@pytest.mark.parametrize("task", ["sorcery", *sorted(set(TASKS) - set(OFFERED))])
def test_a_task_that_is_not_offered_is_refused_with_those_that_are(task: str) -> None:
    with pytest.raises(ValidationError, match=f"no task '{task}': choose one of {OFFERED[0]}"):
        ModelDeclaration.model_validate({"name": "m", "task": task})


@pytest.mark.parametrize("task", OFFERED)
def test_one_that_is_offered_is_taken(task: str) -> None:
    assert ModelDeclaration.model_validate({"name": "m", "task": task}).task == task


def test_a_gate_goes_by_a_score_of_the_task(tmp_path: Path) -> None:
    for score in ("accuracy", "macro_f1"):
        found = ModelDeclaration.model_validate(
            {"name": "m", "task": "classification", "gate": {"score": score}}
        )
        assert found.gate.score == score
    path = tmp_path / "m.yaml"
    text = f"type: {MODEL_TYPE}\nattributes: {{name: m, task: classification, gate: {{score: f2}}}}"
    with pytest.raises(SettingsError) as refused:
        read_text(text, path)
    said = "score: classification has no 'f2': choose one of accuracy, macro_f1."
    assert f"{path}: gate: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("task", TASKS)
def test_scores_of_a_task_are_those_that_it_evaluates(task: str) -> None:
    answers, labels = [Answer(("a",)), Answer(("b",))], [("a",), ("a",)]
    found = judging(task).evaluate(answers, labels, ("a", "b"))
    assert tuple(score.name for score in found.scores) == scores_of(task)
    assert found.score() is found.scores[0]
    assert found.score("accuracy").value == 0.5
    with pytest.raises(KeyError, match="no score 'f2'"):
        found.score("f2")
