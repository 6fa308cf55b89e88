"""A declaration names a task that all of the product carries, and no other."""

import pytest
from pydantic import ValidationError

from visionops_assets.models import ModelDeclaration
from visionops_assets.tasks.registry import OFFERED, TASKS


@pytest.mark.parametrize("task", ["sorcery", *sorted(set(TASKS) - set(OFFERED))])
def test_a_task_that_is_not_offered_is_refused_with_those_that_are(task: str) -> None:
    with pytest.raises(ValidationError, match=f"no task '{task}': choose one of {OFFERED[0]}"):
        ModelDeclaration.model_validate({"name": "m", "task": task})


@pytest.mark.parametrize("task", OFFERED)
def test_one_that_is_offered_is_taken(task: str) -> None:
    assert ModelDeclaration.model_validate({"name": "m", "task": task}).task == task
