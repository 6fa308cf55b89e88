"""The tasks by name. A room of its own and one line here add a task."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # They import NumPy and PyTorch, and a command that names tasks needs neither.
    from visionops_assets.tasks.annotations import Annotating
    from visionops_assets.tasks.base import Doubting, Judging, Serving
    from visionops_assets.vision.learning import Learning

TASKS = ("classification", "multilabel")
OFFERED = TASKS
"""Tasks that a model may have: those that have a way through the catalog and the APIs."""


def scores_of(task: str) -> tuple[str, ...]:
    """Return the names of a task's scores: first that by which its models are compared.

    Raises:
        ValueError: there is no such task.
    """
    return cast("tuple[str, ...]", _room(task).SCORES)


def serving(task: str) -> "Serving":
    """Return how models of a task are served.

    Raises:
        ValueError: there is no such task.
    """
    return cast("Serving", _part(task, "serve"))


def annotating(task: str) -> "Annotating":
    """Return how annotations of a task are read and written. Imports no NumPy.

    Raises:
        ValueError: there is no such task.
    """
    return cast("Annotating", _part(task, "annotate"))


def judging(task: str) -> "Judging":
    """Return how models of a task are judged.

    Raises:
        ValueError: there is no such task.
    """
    return cast("Judging", _part(task, "judge"))


def doubting(task: str) -> "Doubting":
    """Return how labels of a task are doubted. Imports scikit-learn and cleanlab.

    Raises:
        ValueError: there is no such task.
    """
    return cast("Doubting", _part(task, "doubt"))


def learning(task: str) -> "Learning":
    """Return how models of a task learn. Imports PyTorch.

    Raises:
        ValueError: there is no such task.
    """
    return cast("Learning", _part(task, "learn"))


def _part(task: str, module: str) -> object:
    """Return `TASK` of a task's module. What is not asked for is not imported."""
    return _room(task, f".{module}").TASK


def _room(task: str, module: str = "") -> ModuleType:
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}: choose one of {', '.join(TASKS)}.")
    return import_module(f"visionops_assets.tasks.{task}{module}")
