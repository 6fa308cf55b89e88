"""Nothing outside `tasks/` knows a task by name, or how one learns and decides."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.test_rooms import MODULES
from visionops_assets.contracts.models import FIRST_TASK
from visionops_assets.tasks.registry import TASKS

TRITON = Path(__file__).parents[2] / "triton_models"
SERVED = {
    f"triton_models.{path.stem}": ast.parse(path.read_text()) for path in TRITON.rglob("*.py")
}
OUTSIDE = {
    name: tree
    for name, tree in (MODULES | SERVED).items()
    if not name.startswith(("tasks.", "models."))
}
"""Declared models name their task, too: `models/` has the default."""
NAMES_THE_FIRST = "contracts.models"
OF_TASKS = {"cross_entropy", "binary_cross_entropy_with_logits", "softmax", "sigmoid"}


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_rooms_of_tasks_are_those_of_the_registry() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name.count(".") > 1 and "tasks." in name}
    assert rooms == set(TASKS)


@pytest.mark.parametrize("module", OUTSIDE)
def test_no_task_is_named_outside(module: str) -> None:
    named = [text for text in texts(OUTSIDE[module]) if text in TASKS]
    assert named == ([FIRST_TASK] if module == NAMES_THE_FIRST else [])
    imported = {
        node.module or "" for node in ast.walk(OUTSIDE[module]) if isinstance(node, ast.ImportFrom)
    }
    assert not [name for name in imported for task in TASKS if f"tasks.{task}" in name]


@pytest.mark.parametrize("module", OUTSIDE)
def test_how_a_task_learns_and_decides_is_not_known_outside(module: str) -> None:
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(OUTSIDE[module])
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert not used & OF_TASKS
    likeliest = [
        node
        for node in ast.walk(OUTSIDE[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "argmax"
        and node.keywords
    ]
    assert not likeliest, "the likeliest class of each row is an answer: leave it to `decode`"


READS_OLD_RECORDS = {"releasing.smoke", "models.loading"}
"""Records that name no task, and versions whose model is declared no more."""
SHOWS_AN_EXAMPLE = {"services.gateway.models"}


def test_no_task_is_taken_for_granted_where_it_can_be_asked_for() -> None:
    users = {
        module
        for module, tree in (OUTSIDE | MODULES).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "FIRST_TASK"
    }
    assert users == READS_OLD_RECORDS | SHOWS_AN_EXAMPLE | {NAMES_THE_FIRST}
    assert FIRST_TASK in TASKS
