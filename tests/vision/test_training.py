from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vision.conftest import CLASSES, CONFIG, SPEC, Digits, train_on
from visionops_assets.vision.architectures import build
from visionops_assets.vision.training import (
    EpochResult,
    TrainedModel,
    TrainingConfig,
    _validation_mask,
    load_model,
    predict_probabilities,
    save_weights,
    train,
)


@pytest.mark.parametrize("size_px", [8, 9, 16, 64, 100])
def test_any_size_goes_through_the_network(size_px: int) -> None:
    module = build("resnet-tiny", 5).eval()
    logits, embedding = module(torch.zeros(2, 3, size_px, size_px))
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, module.embedding_size)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ValueError, match="resnet-huge"):
        build("resnet-huge", 2)


def test_it_learns_what_it_has_not_seen(trained: TrainedModel, digits: Digits) -> None:
    probabilities, embeddings = predict_probabilities(
        trained.module, digits.images[400:], trained.card, batch_size=50
    )
    assert (probabilities.argmax(axis=1) == digits.labels[400:]).mean() > 0.95
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities.dtype == embeddings.dtype == np.float32
    assert embeddings.shape == (len(probabilities), trained.card.embedding_size)


def test_the_history_and_the_card_tell_how_it_went(trained: TrainedModel) -> None:
    assert [result.epoch for result in trained.history] == list(range(1, CONFIG.epochs + 1))
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    assert (trained.card.classes, trained.card.spec) == (CLASSES, SPEC)
    assert (trained.card.snapshot_id, trained.card.seed) == ("ds-test", CONFIG.seed)
    assert all(0.2 < mean < 0.5 for mean in trained.card.mean)


def test_equal_seeds_give_equal_weights(digits: Digits) -> None:
    reported: list[EpochResult] = []
    state_before = torch.random.get_rng_state()
    one, other = train_on(digits, 60, reported), train_on(digits, 60, reported)
    for ours, theirs in zip(one.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert reported == one.history + other.history
    assert torch.equal(torch.random.get_rng_state(), state_before)


def test_saved_weights_predict_the_same(
    trained: TrainedModel, digits: Digits, tmp_path: Path
) -> None:
    save_weights(trained.module, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trained.card)
    ours, _ = predict_probabilities(trained.module, digits.images[:20], trained.card)
    theirs, _ = predict_probabilities(loaded, digits.images[:20], trained.card)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_validation_keeps_groups_whole_and_every_class_in_training(digits: Digits) -> None:
    held = _validation_mask(digits.labels, digits.groups, np.random.default_rng(0))
    of_group: dict[str, set[bool]] = {}
    for group, is_held in zip(digits.groups, held.tolist(), strict=True):
        of_group.setdefault(group, set()).add(is_held)
    assert all(len(sides) == 1 for sides in of_group.values())
    assert 0.05 < held.mean() < 0.15
    assert set(digits.labels[~held]) == {0, 1, 2}


@pytest.mark.parametrize("groups", [["a"] * 4, ["a", "b"]])
def test_data_that_cannot_be_trained_on_is_refused(groups: list[str]) -> None:
    with pytest.raises(ValueError, match="groups"):
        train(
            np.zeros((4, 16, 16, 3), np.uint8),
            np.array([0, 1, 0, 1]),
            groups,
            classes=("a", "b"),
            spec=SPEC,
            snapshot_id="s",
            config=TrainingConfig(),
            on_epoch=lambda _: None,
        )
