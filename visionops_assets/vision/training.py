"""The training loop: frames and labels in, a model and its card out. Deterministic by seed.

Not here: where frames come from, and where models and figures go.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model as load_safetensors
from safetensors.torch import save_model as save_safetensors
from torch import Tensor, nn
from torch.nn import functional

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.vision.architectures import Classifier, build
from visionops_assets.vision.preprocessing import Frame, to_network_input

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

VALIDATION_SHARE = 10  # one group in ten
VALIDATION_MIN_GROUPS = 3  # a class with fewer keeps all of them for training
MAX_ROTATION_RAD = 0.17
MAX_ZOOM = 0.1
MAX_SHIFT = 0.16  # of half the image


@dataclass(frozen=True)
class TrainingConfig:
    """One recipe. The defaults train 1,400 digits of 64 px to 0.99 in half a minute."""

    architecture: str = "resnet-tiny"
    epochs: int = 12
    """Passes over the training part."""
    batch_size: int = 64
    """Images a step."""
    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule (Smith and Topin, "Super-Convergence", 2018)."""
    weight_decay: float = 0.05
    """Decoupled, as in AdamW; a factor of the learning rate."""
    seed: int = 0
    """Fixes initial weights, inner split, order and augmentation."""


@dataclass(frozen=True)
class EpochResult:
    """What one pass reached; losses are mean cross-entropies in nats, accuracies in 0..1."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainedModel:
    """Weights, what must be known to run them, and how training went."""

    module: Classifier
    card: ModelCard
    history: list[EpochResult]


def train(
    images: Frame,
    labels: Labels,
    groups: Sequence[str],
    *,
    classes: tuple[str, ...],
    spec: PreprocessingSpec,
    snapshot_id: str,
    config: TrainingConfig,
    on_epoch: Callable[[EpochResult], None],
) -> TrainedModel:
    """Train on frames, uint8 (N, S, S, 3), with labels int64 (N,), indices into `classes`.

    One group in ten of each class is kept back for the validation curves, groups whole.

    Raises:
        ValueError: unequal lengths, or too few groups to keep any back.
    """
    if not len(images) == len(labels) == len(groups):
        raise ValueError(f"{len(images)} images, {len(labels)} labels, {len(groups)} groups.")
    rng = np.random.default_rng(config.seed)
    held = _validation_mask(labels, groups, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        module = build(config.architecture, len(classes))
        mean, std = _channel_statistics(images[~held])
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
        trainer = _Trainer(module, card, config, images[~held], labels[~held])
        history = trainer.run(images[held], labels[held], on_epoch)
    return TrainedModel(module.eval(), card, history)


class _Trainer:
    """Optimiser, schedule and the augmented passes over the training part."""

    def __init__(
        self,
        module: Classifier,
        card: ModelCard,
        config: TrainingConfig,
        images: Frame,
        labels: Labels,
    ) -> None:
        # Channels last is 1.6 times as fast on CPU.
        self.module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card, self.images, self.epochs = card, images, config.epochs
        self.labels = torch.from_numpy(labels)
        self.batch_size = min(config.batch_size, len(images))
        # A last batch that is not full is left out: batch statistics of one image do not exist.
        self.steps = len(images) // self.batch_size
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, total_steps=config.epochs * self.steps + 1
        )

    def run(
        self, held_images: Frame, held_labels: Labels, on_epoch: Callable[[EpochResult], None]
    ) -> list[EpochResult]:
        """Train for all epochs, and validate after each on what was kept back."""
        history = []
        for epoch in range(1, self.epochs + 1):
            started_s, train_loss = time.perf_counter(), self._run_epoch()
            loss, accuracy = _validate(self.module, held_images, held_labels, self.card)
            seconds = time.perf_counter() - started_s
            rate = float(self.schedule.get_last_lr()[0])
            history.append(EpochResult(epoch, train_loss, loss, accuracy, rate, seconds))
            on_epoch(history[-1])
        return history

    def _run_epoch(self) -> float:
        """Take one step a batch, in random order; return the mean loss."""
        self.module.train()
        order = torch.randperm(len(self.images))
        losses = [
            self._step(order[i * self.batch_size :][: self.batch_size]) for i in range(self.steps)
        ]
        return float(np.mean(losses))

    def _step(self, chosen: Tensor) -> float:
        inputs = torch.from_numpy(to_network_input(self.images[chosen.numpy()], self.card))
        logits, _ = self.module(_augment(inputs).contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, self.labels[chosen])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return loss.item()


def _augment(inputs: Tensor) -> Tensor:
    """Turn, zoom and shift each image a little. Never flips: a mirrored digit is no digit."""
    count = len(inputs)
    angle = (torch.rand(count) * 2 - 1) * MAX_ROTATION_RAD
    zoom = 1 + (torch.rand(count) * 2 - 1) * MAX_ZOOM
    shift = (torch.rand(count, 2) * 2 - 1) * MAX_SHIFT
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1)
    grid = functional.affine_grid(rows.view(count, 2, 3), list(inputs.shape), align_corners=False)
    return functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)


def _validation_mask(
    labels: Labels, groups: Sequence[str], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Choose a tenth of each class's groups, at least one if it can spare it."""
    label_of = dict(zip(groups, labels.tolist(), strict=True))
    chosen: set[str] = set()
    for label in sorted(set(label_of.values())):
        of_label = sorted(group for group, its in label_of.items() if its == label)
        count = len(of_label) // VALIDATION_SHARE or int(len(of_label) >= VALIDATION_MIN_GROUPS)
        chosen.update(rng.permutation(of_label)[:count].tolist())
    if not chosen:
        raise ValueError("Training needs a class with three groups or more, to validate on one.")
    return np.array([group in chosen for group in groups])


def _channel_statistics(images: Frame) -> tuple[tuple[float, float, float], ...]:
    """Mean and standard deviation per channel, of pixels scaled to 0..1."""
    scaled = images.reshape(-1, 3)
    mean = scaled.mean(axis=0, dtype=np.float64) / 255
    std = np.maximum(scaled.std(axis=0, dtype=np.float64) / 255, 1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def _validate(
    module: Classifier, images: Frame, labels: Labels, card: ModelCard
) -> tuple[float, float]:
    probabilities, _ = predict_probabilities(module, images, card)
    right = probabilities[np.arange(len(labels)), labels]
    loss = float(-np.log(np.maximum(right, 1e-12)).mean())
    return loss, float((probabilities.argmax(axis=1) == labels).mean())


def predict_probabilities(
    module: Classifier, images: Frame, card: ModelCard, batch_size: int = 256
) -> tuple[Floats, Floats]:
    """Classify frames, uint8 (N, S, S, 3): probabilities (N, classes), embeddings (N, E)."""
    module.eval()
    probabilities = np.empty((len(images), len(card.classes)), np.float32)
    embeddings = np.empty((len(images), card.embedding_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            logits, embedding = module(torch.from_numpy(to_network_input(images[batch], card)))
            probabilities[batch] = functional.softmax(logits, dim=1).numpy()
            embeddings[batch] = embedding.numpy()
    return probabilities, embeddings


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the weights as safetensors: data only, nothing that runs when it is loaded."""
    save_safetensors(module, str(path))


def load_model(weights_path: Path, card: ModelCard) -> Classifier:
    """Build the card's architecture and fill it with saved weights, ready to predict."""
    module = build(card.architecture, len(card.classes))
    load_safetensors(module, str(weights_path))
    return module.eval()
