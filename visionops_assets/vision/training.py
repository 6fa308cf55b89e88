"""The training loop: frames and targets in, a model and its card out. Deterministic by seed.

The task says what targets are, and what is learned of them. Not here: reading frames, and storing
models and figures.
"""

import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.contracts.tensors import TensorSpec
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.inference import run_network
from visionops_assets.vision.learning import Learning, Outputs, Rows, Sampler, Targets
from visionops_assets.vision.pixels import channel_statistics
from visionops_assets.vision.preprocessing import Frame as Frames
from visionops_assets.vision.preprocessing import to_network_input
from visionops_assets.vision.reading_order import BlockShuffled, is_large, sample_of
from visionops_assets.vision.recipe import (
    Budget,
    RoundResult,
    TrainingConfig,
    best_round,
    budget_for,
    is_finished,
)
from visionops_assets.vision.selection import Images, prefetch, read_ahead

WARM_UP_SHARE = 0.15
MEASURED_FRAMES = 2_048
"""Frames whose pixels stand for all in mean and deviation, if there are twice as many."""


@dataclass(frozen=True)
class Lesson:
    """A task as the training sees it: its name, how it learns, and its networks' outputs."""

    task: str
    learning: Learning
    outputs: Sequence[TensorSpec]


@dataclass(frozen=True)
class TrainedModel:
    """Weights, their card, and the course of the training.

    `budget` follows from the data; `best` is the round of these weights. `score` names the score
    of the rounds.
    """

    module: EmbeddingNetwork
    card: ModelCard
    budget: Budget
    history: list[RoundResult]
    best: RoundResult
    score: str


def train(
    lesson: Lesson,
    images: Images,
    targets: Targets,
    groups: Sequence[str],
    *,
    classes: tuple[str, ...],
    spec: PreprocessingSpec,
    snapshot_id: str,
    config: TrainingConfig,
    on_round: Callable[[RoundResult], None],
    rows: Rows | None = None,
) -> TrainedModel:
    """Train on frames, uint8 (N, S, S, 3), with n targets of the lesson's task.

    `rows` int64 (n,) names the images of the targets and groups, in their order; None: all. Part of
    the groups validates, as the task splits them. Only the pixels of one batch are copied.

    Raises:
        ValueError: lengths differ, or there are too few groups to validate on any.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if not len(rows) == len(targets) == len(groups):
        raise ValueError(f"{len(rows)} images, {len(targets)} targets, {len(groups)} groups.")
    rng = np.random.default_rng(config.seed)
    training, validation = (
        _Part(images, rows[chosen], targets[chosen])
        for chosen in lesson.learning.split(targets, groups, rng)
    )
    budget = budget_for(len(training.rows), len(classes), config.steps)
    with _repeatable(config.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module = lesson.learning.network(config.architecture, len(classes))
        if not is_large(len(training.rows), spec.size_px):
            prefetch(images, training.rows)
        sample = sample_of(len(training.rows), MEASURED_FRAMES)
        mean, std = channel_statistics(images, training.rows[sample])
        card = ModelCard(
            task=lesson.task,
            architecture=config.architecture,
            classes=classes,
            embedding_size=module.embedding_size,
            spec=spec,
            mean=mean,
            std=std,
            snapshot_id=snapshot_id,
            seed=config.seed,
        )
        trainer = _Trainer(lesson, module, card, config, budget, training, rng)
        with closing(trainer.batches):
            history = _run(trainer, validation, on_round)
        outputs = _outputs(lesson, trainer.averaged, validation, card)
        card = lesson.learning.finish(card, outputs, validation.targets)
    best, score = best_round(history), lesson.learning.score
    return TrainedModel(trainer.averaged.eval(), card, budget, history, best, score)


@dataclass(frozen=True)
class _Part:
    """A selection of images, by their rows (n), with their targets (n)."""

    images: Images
    rows: Rows
    targets: Targets


def _run(
    trainer: "_Trainer", validation: _Part, on_round: Callable[[RoundResult], None]
) -> list[RoundResult]:
    """Train round by round, and end with the averaged weights of the best round."""
    history: list[RoundResult] = []
    kept = trainer.averaged.state_dict()
    while not is_finished(history, trainer.budget.steps):
        started_s = time.perf_counter()
        train_loss = trainer.run_round()
        outputs = _outputs(trainer.lesson, trainer.averaged, validation, trainer.card)
        loss, score = trainer.lesson.learning.measure(outputs, validation.targets)
        seconds = time.perf_counter() - started_s
        rate = float(trainer.schedule.get_last_lr()[0])
        history.append(RoundResult(trainer.step, train_loss, loss, score, rate, seconds))
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
        lesson: Lesson,
        module: EmbeddingNetwork,
        card: ModelCard,
        config: TrainingConfig,
        budget: Budget,
        training: _Part,
        rng: np.random.Generator,
    ) -> None:
        # Channels last is 1.6 times as fast on CPU.
        self._module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._training, self._augmentation = training, config.augmentation
        self.batches = self._all_batches(_sampler_of(lesson, training, card, rng))
        self.lesson = lesson
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
        frames, batch = next(self.batches)
        inputs = torch.from_numpy(to_network_input(frames, self.card))
        targets = torch.from_numpy(batch)
        inputs, targets = self.lesson.learning.augment(inputs, targets, self._augmentation)
        outputs, _ = self._module(inputs.contiguous(memory_format=torch.channels_last))
        loss = self.lesson.learning.loss(outputs, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.schedule.step()
        self.step += 1
        self._average()
        return loss.item()

    def _all_batches(self, sampler: Sampler) -> Generator[tuple[Frames, Targets], None, None]:
        """Yield frames and targets without end. The next ones are read during a step."""
        chosen: deque[Rows] = deque()

        def drawn() -> Iterator[Rows]:
            while True:
                chosen.append(sampler.batch(self.budget.batch_size))
                yield self._training.rows[chosen[-1]]

        with closing(read_ahead(self._training.images, drawn())) as reading:
            for _, frames in reading:
                yield frames, self._training.targets[chosen.popleft()]

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


def _sampler_of(
    lesson: Lesson, training: _Part, card: ModelCard, rng: np.random.Generator
) -> Sampler:
    if not is_large(len(training.rows), card.spec.size_px):
        return lesson.learning.sampler(training.targets, rng)
    return BlockShuffled(
        training.targets,
        card.spec.size_px,
        lambda targets: lesson.learning.sampler(targets, rng),
        lambda places: prefetch(training.images, training.rows[places]),
        rng,
    )


@contextmanager
def _repeatable(threads: int | None) -> Iterator[None]:
    """Let PyTorch repeat a training bit by bit within the block: in an order, by these threads.

    None: as many threads as before.
    """
    threads_before = torch.get_num_threads()
    is_ordered, only_warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    memory: Any = torch.utils.deterministic
    fills = memory.fill_uninitialized_memory
    torch.set_num_threads(threads or threads_before)
    torch.use_deterministic_algorithms(True)
    # It would write all memory twice, to show a fault that our networks do not have.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(is_ordered, warn_only=only_warns)
        memory.fill_uninitialized_memory = fills


def _outputs(lesson: Lesson, module: EmbeddingNetwork, part: _Part, card: ModelCard) -> Outputs:
    """Run a network, as it is served, on the images of a part."""
    served = lesson.learning.served(module)
    return run_network(served, part.images, card, lesson.outputs, rows=part.rows)
