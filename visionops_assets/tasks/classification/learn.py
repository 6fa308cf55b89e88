"""How classifiers learn: cross-entropy of one class of several."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.classification.sampling import ClassSampler, split_validation
from visionops_assets.tasks.classification.serve import PROBABILITIES_OF_NETWORK
from visionops_assets.vision.architectures import EmbeddingNetwork, build
from visionops_assets.vision.augmentation import augment
from visionops_assets.vision.learning import Learning, Outputs, Rows, Sampler, Targets
from visionops_assets.vision.recipe import Augmentation

SMALLEST_PROBABILITY = 1e-12


class _Served(nn.Module):
    """The classifier as it is served: softmax is part of the graph."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.classifier = module

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map float32 (N, 3, S, S) to probabilities (N, classes) and embedding (N, E)."""
        logits, embedding = self.classifier(images)
        return torch.softmax(logits, dim=1), embedding


class _Learning:
    """See `Learning`. Targets are int64 (N), indices of classes."""

    score = "accuracy"

    def network(self, architecture: str, classes: int) -> EmbeddingNetwork:
        """See `Learning`."""
        return build(architecture, classes)

    def served(self, module: nn.Module) -> nn.Module:
        """See `Learning`."""
        return _Served(module)

    def split(
        self, targets: Targets, groups: Sequence[str], rng: np.random.Generator
    ) -> tuple[Rows, Rows]:
        """See `Learning`. Each class gives some of its groups."""
        return split_validation(targets, groups, rng)

    def sampler(self, targets: Targets, rng: np.random.Generator) -> Sampler:
        """See `Learning`. Rare classes count for more than their share."""
        return ClassSampler(targets, rng)

    def augment(self, images: Tensor, targets: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """See `Learning`. No change of a picture changes its class."""
        return augment(images, by), targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Learning`. `outputs` are logits (N, classes)."""
        return functional.cross_entropy(outputs, targets)

    def measure(self, outputs: Outputs, targets: Targets) -> tuple[float, float]:
        """See `Learning`. The score is the accuracy."""
        probabilities: npt.NDArray[np.float32] = outputs[PROBABILITIES_OF_NETWORK.name]
        right = probabilities[np.arange(len(targets)), targets]
        loss = float(-np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean())
        return loss, float((probabilities.argmax(axis=1) == targets).mean())

    def finish(self, card: ModelCard, outputs: Outputs, targets: Targets) -> ModelCard:  # noqa: ARG002
        """See `Learning`. The most probable class needs no threshold."""
        return card


TASK: Learning = _Learning()
