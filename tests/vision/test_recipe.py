"""How long is trained, and when it ends: the rules, on plain numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.recipe import (
    MAX_STEPS,
    Budget,
    RoundResult,
    best_round,
    budget_for,
    is_finished,
)


def reached(step: int, loss: float = 1.0, accuracy: float = 0.5, train: float = 1.0) -> RoundResult:
    return RoundResult(step, train, loss, accuracy, 1e-3, 0.1)


@pytest.mark.parametrize(
    ("frames", "classes", "least"), [(90, 3, 600), (475, 3, 600), (8_600, 10, 1_500)]
)
def test_every_set_gets_steps_enough(frames: int, classes: int, least: int) -> None:
    assert budget_for(frames, classes).steps >= least


@pytest.mark.parametrize(
    ("frames", "classes", "budget"),
    [
        (10, 2, Budget(1_100, 10, 45, 44)),
        (475, 3, Budget(1_200, 32, 50, 48)),
        (3_999, 5, Budget(1_999, 32, 83, 80)),
        (4_000, 5, Budget(2_000, 32, 83, 80)),  # 16 passes of 125 batches
        (4_001, 5, Budget(1_400, 64, 58, 56)),
        (100_000, 10, Budget(20_000, 64, 833, 800)),
    ],
)
def test_the_budget_is_worked_out_by_hand(frames: int, classes: int, budget: Budget) -> None:
    """Steps, images per step, steps per round (a 24th), steps averaged (4 %)."""
    assert budget_for(frames, classes) == budget


@pytest.mark.parametrize(("steps", "per_round"), [(7, 7), (40, 40), (959, 40), (2_400, 100)])
def test_a_round_has_forty_steps_or_more_if_there_are_as_many(steps: int, per_round: int) -> None:
    assert budget_for(475, 3, steps).round_steps == per_round


@given(frames=st.integers(1, 10**7), classes=st.integers(2, 10_000))
def test_more_data_never_means_less_training_and_there_is_an_end(frames: int, classes: int) -> None:
    budget = budget_for(frames, classes)
    assert budget.steps <= budget_for(frames, classes + 1).steps <= MAX_STEPS
    seen = budget.steps * budget.batch_size
    twice = budget_for(2 * frames, classes)
    assert seen <= twice.steps * twice.batch_size
    assert 1 <= budget.batch_size <= frames
    assert 1 <= budget.round_steps <= budget.steps


@pytest.mark.parametrize("steps", [1, 7, 100_000])
def test_steps_that_are_asked_for_are_given(steps: int) -> None:
    budget = budget_for(475, 3, steps)
    assert budget.steps == steps
    assert budget.averaged_steps >= 1


def test_the_best_round_is_the_most_accurate_and_among_equals_the_surest() -> None:
    rounds = [
        reached(1, 0.3, 0.8),
        reached(2, 0.5, 0.9),
        reached(3, 0.4, 0.9),
        reached(4, 0.1, 0.7),
    ]
    assert best_round(rounds).step == 3


@pytest.mark.parametrize(
    ("history", "ends"),
    [
        ([], False),
        ([reached(999)], False),
        ([reached(1_000)], True),
        ([reached(100), reached(490)], False),
        ([reached(100), reached(500)], True),
        ([reached(100), reached(500, accuracy=0.51)], False),
        ([reached(100, train=0.049)], True),
        ([reached(100, train=0.05, loss=0.03)], False),
        ([reached(100, loss=0.029)], True),
    ],
    ids=[
        "begin",
        "under way",
        "used up",
        "patient",
        "stands still",
        "better",
        "learned",
        "nearly",
        "certain",
    ],
)
def test_it_ends_when_steps_are_used_or_nothing_is_gained(
    history: list[RoundResult], ends: bool
) -> None:
    assert is_finished(history, 1_000) is ends


def test_measures_of_a_round_are_named_by_the_score() -> None:
    found = RoundResult(40, 0.5, 0.25, 0.75, 0.01, 2.0).measured("macro_f1")
    assert found == {
        "train_loss": 0.5,
        "validation_loss": 0.25,
        "validation_macro_f1": 0.75,
        "learning_rate": 0.01,
        "seconds": 2.0,
    }
