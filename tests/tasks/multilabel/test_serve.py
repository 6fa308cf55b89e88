"""Answers with several labels: from a network, on the wire, and beside others."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import serving

TASK = serving("multilabel")
OUTPUTS = {"probabilities": np.array([[0.5, 0.75, 0.25], [0.25, 0.25, 0.0]], np.float32)}


def card(thresholds: tuple[float, ...] | None = (0.5, 0.8, 0.2)) -> ModelCard:
    return cast("ModelCard", SimpleNamespace(classes=("a", "ü,", "c"), thresholds=thresholds))


def test_each_class_that_reaches_its_threshold_is_named() -> None:
    several, one = TASK.decode(OUTPUTS, card((0.5, 0.8, 0.0)))
    assert (several.labels, several.probabilities) == (("a", "c"), (0.5, 0.75, 0.25))
    assert several.confidence == pytest.approx(0.5 * (1 - 0.75) * 0.25)
    assert one.labels == ("c",), "a threshold is reached by what equals it"
    assert [each.labels for each in TASK.decode(OUTPUTS, card(None))] == [("a", "ü,"), ()]


def test_what_is_served_reads_back_as_the_answer() -> None:
    made = {name: make() for name, make in TASK.tensors(OUTPUTS, card(None)).items()}
    assert list(made) == [spec.name for spec in TASK.answers]
    rows: list[dict[str, Any]] = [
        {
            "LABELS": made["LABELS"][row, 0].decode(),
            "CONFIDENCE": made["CONFIDENCE"][row],
            "PROBABILITIES": made["PROBABILITIES"][row],
        }
        for row in range(2)
    ]
    assert [TASK.read(row) for row in rows] == TASK.decode(OUTPUTS, card(None))


def test_one_label_too_many_or_too_few_is_wrong_and_their_order_counts_for_nothing() -> None:
    answer = Answer(("a", "b"))
    assert not TASK.is_wrong(answer, ("b", "a"))
    assert TASK.is_wrong(answer, ("a",))
    assert TASK.is_wrong(answer, ("a", "b", "c"))
    assert TASK.is_wrong(answer, ())
    assert not TASK.is_wrong(Answer(()), ())


def test_models_agree_if_they_name_the_same_set() -> None:
    assert TASK.agrees(Answer(("a", "b")), Answer(("b", "a")))
    assert not TASK.agrees(Answer(("a", "b")), Answer(("a",)))


def test_what_is_no_number_names_nothing() -> None:
    outputs = {"probabilities": np.full((1, 3), np.nan, np.float32)}
    assert TASK.decode(outputs, card())[0].labels == ()
