"""How multi-label models learn: each class by itself, shown or not."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.f1 import MACRO_F1, counts_of, macro_f1
from visionops_assets.tasks.multilabel.sampling import LabelSampler, split_validation
from visionops_assets.tasks.multilabel.scores import choose_thresholds
from visionops_assets.tasks.multilabel.serve import PROBABILITIES_OF_NETWORK
from visionops_assets.vision.architectures import EmbeddingNetwork, build
from visionops_assets.vision.augmentation import augment
from visionops_assets.vision.learning import Learning, Outputs, Rows, Sampler, Targets
from visionops_assets.vision.recipe import Augmentation

SMALLEST_PROBABILITY = 1e-7


class _Served(nn.Module):
    """The network as it is served: the sigmoid is part of the graph."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.network = module

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map float32 (N, 3, S, S) to probabilities (N, classes) and embedding (N, E)."""
        logits, embedding = self.network(images)
        return torch.sigmoid(logits), embedding


class _Learning:
    """See `Learning`. Targets are float32 (N, classes): 1 for what an image shows, else 0."""

    score = MACRO_F1

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
        return split_validation(targets > 0, groups, rng)

    def sampler(self, targets: Targets, rng: np.random.Generator) -> Sampler:
        """See `Learning`. Frames with rare classes count for more than their share."""
        return LabelSampler(targets > 0, rng)

    def augment(self, images: Tensor, targets: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """See `Learning`. No change of a picture changes what it shows."""
        return augment(images, by), targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Learning`. `outputs` are logits (N, classes); the classes of an image are summed."""
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return each.sum(dim=1).mean()

    def measure(self, outputs: Outputs, targets: Targets) -> tuple[float, float]:
        """See `Learning`. The score is macro F1, by the best thresholds."""
        probabilities: npt.NDArray[np.float32] = outputs[PROBABILITIES_OF_NETWORK.name]
        shown = targets > 0
        of_truth = np.where(shown, probabilities, 1 - probabilities)
        loss = -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).sum(axis=1).mean()
        thresholds = np.array(choose_thresholds(probabilities, shown), np.float32)
        counts = counts_of(shown, probabilities >= thresholds).sum(axis=0)
        return float(loss), float(macro_f1(counts))

    def finish(self, card: ModelCard, outputs: Outputs, targets: Targets) -> ModelCard:
        """See `Learning`. The card keeps the thresholds."""
        probabilities = outputs[PROBABILITIES_OF_NETWORK.name]
        thresholds = choose_thresholds(probabilities, targets > 0)
        return card.model_copy(update={"thresholds": thresholds})


TASK: Learning = _Learning()
