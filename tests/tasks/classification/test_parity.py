from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.registry import judging
from visionops_assets.vision.parity import Floats, Parity

CARD = cast("ModelCard", None)


def compare(reference: Floats, found: Floats, truth: npt.NDArray[np.int64]) -> Parity:
    return judging("classification").parity(
        {"probabilities": reference}, {"probabilities": found}, truth, CARD
    )


def softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def answers(seed: int, count: int) -> Floats:
    return softmax(np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32) * 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_a_model_agrees_with_itself(seed: int, count: int) -> None:
    reference = answers(seed, count)
    parity = compare(reference, reference.copy(), reference.argmax(axis=1))
    assert (parity.label_agreement, parity.accuracy, parity.reference_accuracy) == (1, 1, 1)
    assert parity.max_probability_error == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.data())
def test_changed_rows_are_counted_and_no_others(seed: int, count: int, data: st.DataObject) -> None:
    reference = answers(seed, count)
    changed = data.draw(st.sets(st.integers(0, count - 1)))
    answered = reference.copy()
    for row in changed:
        answered[row] = np.roll(answered[row], 1)
    parity = compare(reference, answered, reference.argmax(axis=1))
    assert parity.label_agreement == pytest.approx(1 - len(changed) / count)
    assert parity.accuracy == pytest.approx(1 - len(changed) / count)
    assert set(np.flatnonzero(parity.errors)) == changed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_as_wrong_as_can_be(value: float) -> None:
    reference = answers(0, 4)
    answered = reference.copy()
    answered[2] = value
    # Where every probability is the same, argmax gives class 0: that must not count as right.
    assert reference.argmax(axis=1).tolist() == [2, 2, 3, 1]
    parity = compare(reference, answered, np.zeros(4, np.int64))
    assert parity.label_agreement == 0.75
    assert parity.max_probability_error == 1
    assert parity.errors[[0, 1, 3]].max() == 0
    assert parity.accuracy == 0
    # Nor does it agree with a reference that gives class 0, too.
    only_first = np.eye(4, dtype=np.float32)[[0, 0]]
    assert compare(only_first, np.full((2, 4), value), np.zeros(2, np.int64)).label_agreement == 0
    assert compare(only_first, np.full((2, 4), value), np.zeros(2, np.int64)).accuracy == 0


def test_no_images_are_no_proof() -> None:
    with pytest.raises(ValueError, match="at least one"):
        compare(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros(0, np.int64))


def test_answers_to_other_images_are_no_comparison() -> None:
    for reference, probabilities in ((3, 2), (2, 3), (2, 2), (4, 4)):
        with pytest.raises(ValueError, match="of 3 images"):
            compare(answers(0, reference), answers(0, probabilities), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="of 3 images"):
        compare(answers(0, 3), answers(0, 3)[:, :2], np.zeros(3, np.int64))
