"""Answers of classifiers: from a network, on the wire, and beside others."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import serving

TASK = serving("classification")
CARD = cast("ModelCard", SimpleNamespace(classes=("a", "b", "ü")))
OUTPUTS = {"probabilities": np.array([[0.25, 0.5, 0.25], [0.5, 0.0, 0.5]], np.float32)}


def test_the_likeliest_class_is_the_answer_and_of_equal_ones_the_first() -> None:
    assert TASK.decode(OUTPUTS, CARD) == [
        Answer(("b",), (0.25, 0.5, 0.25), 0.5),
        Answer(("a",), (0.5, 0.0, 0.5), 0.5),
    ]


def test_what_is_served_reads_back_as_the_answer() -> None:
    made = {name: make() for name, make in TASK.tensors(OUTPUTS, CARD).items()}
    assert list(made) == [spec.name for spec in TASK.answers]
    rows: list[dict[str, Any]] = [
        {"LABEL": made["LABEL"][row, 0].decode(), "PROBABILITIES": made["PROBABILITIES"][row]}
        for row in range(2)
    ]
    assert [TASK.read(row) for row in rows] == TASK.decode(OUTPUTS, CARD)


def test_an_answer_is_wrong_if_people_say_otherwise() -> None:
    answer = Answer(("a",), (0.9, 0.1), 0.9)
    assert not TASK.is_wrong(answer, ("a",))
    assert TASK.is_wrong(answer, ("b",))


def test_models_agree_if_they_name_one_class_however_sure() -> None:
    assert TASK.agrees(Answer(("a",), (0.9, 0.1), 0.9), Answer(("a",), (0.6, 0.4), 0.6))
    assert not TASK.agrees(Answer(("a",), (0.6, 0.4), 0.6), Answer(("b",), (0.4, 0.6), 0.6))
