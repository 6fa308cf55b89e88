"""The training loop: frames and labels in, a model and its card out. Deterministic by seed.

Not here: reading frames, and storing models and figures.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.vision.architectures import Classifier, build
from visionops_assets.vision.augmentation import augment
from visionops_assets.vision.inference import predict_probabilities
from visionops_assets.vision.pixels import channel_statistics
from visionops_assets.vision.preprocessing import Frame, to_network_input
from visionops_assets.vision.recipe import (
    Budget,
    RoundResult,
    TrainingConfig,
    best_round,
    budget_for,
    is_finished,
)
from visionops_assets.vision.sampling import ClassSampler, Labels, Rows, split_validation

WARM_UP_SHARE = 0.15


@dataclass(frozen=True)
class TrainedModel:
    """Weights, their card, and the course of the training.

    `budget` follows from the data; `best` is the round of these weights.
    """

    module: Classifier
    card: ModelCard
    budget: Budget
    history: list[RoundResult]
    best: RoundResult


def train(
    images: Frame,
    labels: Labels,
    groups: Sequence[str],
    *,
    classes: tuple[str, ...],
    spec: PreprocessingSpec,
    snapshot_id: str,
    config: TrainingConfig,
    on_round: Callable[[RoundResult], None],
    rows: Rows | None = None,
) -> TrainedModel:
    """Train on frames, uint8 (N, S, S, 3), with labels int64 (n,), indices into `classes`.

    `rows` int64 (n,) names the images of the labels and groups, in their order; None: all. Part of
    each class's groups validates (`split_validation`). Only the pixels of one batch are copied.

    Raises:
        ValueError: lengths differ, or there are too few groups to validate on any.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if not len(rows) == len(labels) == len(groups):
        raise ValueError(f"{len(rows)} images, {len(labels)} labels, {len(groups)} groups.")
    rng = np.random.default_rng(config.seed)
    training, validation = (
        _Part(images, rows[chosen], labels[chosen])
        for chosen in split_validation(labels, groups, rng)
    )
    budget = budget_for(len(training.rows), len(classes), config.steps)
    with _threads(config.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module = build(config.architecture, len(classes))
        mean, std = channel_statistics(images, training.rows)
        card = ModelCard(
            architecture=config.architecture,
            classes=classes,
            embedding_size=module.embedding_size,
            spec=spec,
            mean=mean,
            std=std,
            snapshot_id=snapshot_id,
            seed=config.seed,
        )
        trainer = _Trainer(module, card, config, budget, training, rng)
        history = _run(trainer, validation, on_round)
    best = best_round(history)
    return TrainedModel(trainer.averaged.eval(), card, budget, history, best)


@dataclass(frozen=True)
class _Part:
    """A selection of images, by their rows (n), with their labels (n)."""

    images: Frame
    rows: Rows
    labels: Labels


def _run(
    trainer: "_Trainer", validation: _Part, on_round: Callable[[RoundResult], None]
) -> list[RoundResult]:
    """Train round by round, and end with the averaged weights of the best round."""
    history: list[RoundResult] = []
    kept = trainer.averaged.state_dict()
    while not is_finished(history, trainer.budget.steps):
        started_s = time.perf_counter()
        train_loss = trainer.run_round()
        loss, accuracy = _validate(trainer.averaged, validation, trainer.card)
        seconds = time.perf_counter() - started_s
        rate = float(trainer.schedule.get_last_lr()[0])
        history.append(RoundResult(trainer.step, train_loss, loss, accuracy, rate, seconds))
        if best_round(history) is history[-1]:
            kept = copy.deepcopy(trainer.averaged.state_dict())
        on_round(history[-1])
    trainer.averaged.load_state_dict(kept)
    return history


class _Trainer:
    """Network, optimiser and schedule, and the running average of the weights.

    The average is validated and kept: at every step it is as good as a long cool-down would be
    (Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018). It includes the statistics
    of batch normalisation, which belong to the weights.
    """

    def __init__(
        self,
        module: Classifier,
        card: ModelCard,
        config: TrainingConfig,
        budget: Budget,
        training: _Part,
        rng: np.random.Generator,
    ) -> None:
        # Channels last is 1.6 times as fast on CPU.
        self._module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._training, self._augmentation = training, config.augmentation
        self._sampler = ClassSampler(training.labels, rng)
        self.card, self.budget, self.step = card, budget, 0
        self.averaged = copy.deepcopy(self._module)
        self._optimizer = torch.optim.AdamW(
            module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            config.learning_rate,
            total_steps=budget.steps + 1,
            pct_start=WARM_UP_SHARE,
        )

    def run_round(self) -> float:
        """Make the steps of one round; return their mean loss."""
        self._module.train()
        count = min(self.budget.round_steps, self.budget.steps - self.step)
        return float(np.mean([self._take_step() for _ in range(count)]))

    def _take_step(self) -> float:
        chosen = self._sampler.batch(self.budget.batch_size)
        frames = self._training.images[self._training.rows[chosen]]
        inputs = torch.from_numpy(to_network_input(frames, self.card))
        inputs = augment(inputs, self._augmentation)
        logits, _ = self._module(inputs.contiguous(memory_format=torch.channels_last))
        targets = torch.from_numpy(self._training.labels[chosen])
        loss = functional.cross_entropy(logits, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.schedule.step()
        self.step += 1
        self._average()
        return loss.item()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the weights, over few steps at first, then over more."""
        share = 1 / min(self.step, self.budget.averaged_steps)
        theirs = self._module.state_dict()
        for name, ours in self.averaged.state_dict().items():
            if ours.is_floating_point():
                ours.lerp_(theirs[name], share)
            else:
                ours.copy_(theirs[name])


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use this number of threads within the block; None: as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _validate(module: Classifier, part: _Part, card: ModelCard) -> tuple[float, float]:
    """Measure mean loss and accuracy."""
    probabilities, _ = predict_probabilities(module, part.images, card, rows=part.rows)
    right = probabilities[np.arange(len(part.labels)), part.labels]
    loss = float(-np.log(np.maximum(right, 1e-12)).mean())
    return loss, float((probabilities.argmax(axis=1) == part.labels).mean())
