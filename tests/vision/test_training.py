from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vision.conftest import CLASSES, CONFIG, LESSON, SPEC, Digits, train_on
from visionops_assets.tasks.classification.sampling import split_validation
from visionops_assets.tasks.running import load_network, run
from visionops_assets.vision.architectures import build
from visionops_assets.vision.inference import save_weights
from visionops_assets.vision.recipe import RoundResult, TrainingConfig, best_round
from visionops_assets.vision.training import TrainedModel, train


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
    outputs = run(trained.module, digits.images[400:], trained.card)
    probabilities, embeddings = outputs["probabilities"], outputs["embedding"]
    assert (probabilities.argmax(axis=1) == digits.labels[400:]).mean() > 0.95
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities.dtype == embeddings.dtype == np.float32
    assert embeddings.shape == (len(probabilities), trained.card.embedding_size)


def test_the_history_and_the_card_tell_how_it_went(trained: TrainedModel) -> None:
    assert [result.step for result in trained.history] == [40, CONFIG.steps]
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    # One cycle: from near its peak down to almost nothing.
    assert trained.history[0].learning_rate > CONFIG.learning_rate / 20
    assert trained.history[-1].learning_rate < CONFIG.learning_rate / 100
    assert trained.best == best_round(trained.history)
    assert (trained.card.classes, trained.card.spec) == (CLASSES, SPEC)
    assert (trained.card.snapshot_id, trained.card.seed) == ("ds-test", CONFIG.seed)
    assert all(0.2 < mean < 0.5 for mean in trained.card.mean)


def test_equal_seeds_give_equal_weights(digits: Digits) -> None:
    reported: list[RoundResult] = []
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
    loaded = load_network(tmp_path / "model.safetensors", trained.card)
    ours, theirs = (
        run(module, digits.images[:20], trained.card)["probabilities"]
        for module in (trained.module, loaded)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_weights_are_those_of_the_best_round(digits: Digits) -> None:
    """A rate that ruins the network late: what was best before is kept."""
    reported: list[RoundResult] = []
    config = TrainingConfig(steps=160, learning_rate=0.5, seed=3)
    trained = train_on(digits, 200, reported, config)
    assert trained.best in reported[:-1]
    rng = np.random.default_rng(config.seed)
    _, held = split_validation(digits.labels[:200], digits.groups[:200], rng)
    probabilities = run(trained.module, digits.images, trained.card, held)["probabilities"]
    loss = -np.log(probabilities[np.arange(len(held)), digits.labels[held]]).mean()
    assert loss == pytest.approx(trained.best.validation_loss, rel=1e-4)


def test_the_average_counts_the_batches_that_it_saw(digits: Digits) -> None:
    """Numbers that are not averaged are copied: they belong to the statistics beside them."""
    module = train_on(digits, 60, [], TrainingConfig(steps=3)).module
    counts = {
        int(value) for name, value in module.state_dict().items() if name.endswith("_tracked")
    }
    assert counts == {3}


def test_rows_name_the_images_and_the_others_do_not_count(digits: Digits) -> None:
    """Images that are of no row may hold anything."""
    rows = np.arange(0, 120, 2)
    spoilt = digits.images.copy()
    spoilt[1::2] = 255
    ours, theirs = (
        train(
            LESSON,
            images,
            digits.labels[rows],
            [digits.groups[row] for row in rows],
            classes=CLASSES,
            spec=SPEC,
            snapshot_id="s",
            config=TrainingConfig(steps=2),
            on_round=lambda _: None,
            rows=rows,
        )
        for images in (digits.images, spoilt)
    )
    assert ours.card == theirs.card
    for one, other in zip(ours.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_brightness_is_learned_from_the_frames_that_train_alone(digits: Digits) -> None:
    """What validates is to be new, its light too."""
    config = TrainingConfig(steps=1, seed=3)
    rng = np.random.default_rng(config.seed)
    training, held = split_validation(digits.labels[:120], digits.groups[:120], rng)
    images = digits.images[:120].copy()
    images[held] = 255
    card = train(
        LESSON,
        images,
        digits.labels[:120],
        digits.groups[:120],
        classes=CLASSES,
        spec=SPEC,
        snapshot_id="s",
        config=config,
        on_round=lambda _: None,
    ).card
    seen = images[training] / 255
    assert card.mean == pytest.approx(seen.mean(axis=(0, 1, 2)), abs=1e-4)
    assert card.std == pytest.approx(seen.std(axis=(0, 1, 2)), abs=1e-4)


def test_threads_are_those_asked_for_and_ordered_and_only_while_training(digits: Digits) -> None:
    seen: list[tuple[int, bool]] = []

    def state() -> tuple[int, bool]:
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    train(
        LESSON,
        digits.images[:60],
        digits.labels[:60],
        digits.groups[:60],
        classes=CLASSES,
        spec=SPEC,
        snapshot_id="s",
        config=TrainingConfig(steps=1, threads=2),
        on_round=lambda _: seen.append(state()),
    )
    assert seen == [(2, True)]
    assert state() == (1, False)


@pytest.mark.parametrize("groups", [["a"] * 4, ["a", "b"]])
def test_data_that_cannot_be_trained_on_is_refused(groups: list[str]) -> None:
    with pytest.raises(ValueError, match="groups"):
        train(
            LESSON,
            np.zeros((4, 16, 16, 3), np.uint8),
            np.array([0, 1, 0, 1]),
            groups,
            classes=("a", "b"),
            spec=SPEC,
            snapshot_id="s",
            config=TrainingConfig(),
            on_round=lambda _: None,
        )
