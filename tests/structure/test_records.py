"""Which records are strict, and which are read tolerantly: the rule, held against the code."""

import ast

import pytest

from tests.structure.test_rooms import MODULES

NEVER_KEPT = (
    *("services.", "vision.capture.messages", "vision.inspection", "vision.sandbox."),
    # People write them: a typing error is told.
    *("models.", "vision.recipe"),
)
"""Requests and answers, words between a process and its child, which is of the same version, and
declarations."""
SAID = (".annotate", "tasks.annotations")
"""Annotations as people write them; kept ones are read by `recall`."""
OF_SPECS = "contracts.preprocessing"
"""A spec means pixels: whoever ignores a part of it makes others."""


def strict_records(tree: ast.Module) -> set[str]:
    """Name the classes of a module that derive from `Record` itself."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Record" for base in node.bases)
    }


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if not name.startswith((*NEVER_KEPT, OF_SPECS)) and not name.endswith(SAID)
    ],
)
def test_a_record_that_is_kept_or_sent_is_tolerant(module: str) -> None:
    assert strict_records(MODULES[module]) <= {"TolerantRecord"}


def test_a_spec_is_read_strictly() -> None:
    assert "PreprocessingSpec" in strict_records(MODULES[OF_SPECS])


def test_a_strict_record_is_found() -> None:
    assert strict_records(ast.parse("class Row(Record): ...")) == {"Row"}
    assert strict_records(ast.parse("class Row(TolerantRecord): ...")) == set()
