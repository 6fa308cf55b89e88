"""The parts of a task that the training needs: its network, loss and measure. Protocols alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from visionops_assets.contracts import ModelCard
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.recipe import Augmentation

Rows = npt.NDArray[np.int64]
Targets = npt.NDArray[Any]
"""The target of each image in one row; only its task knows more."""
Outputs = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, with one row per image."""


class Sampler(Protocol):
    """Draws the frames of each batch."""

    def batch(self, size: int) -> Rows:
        """Return the positions of the next frames to train on (size), in any order."""


class Learning(Protocol):
    """How models of a task learn. Everything random comes from `rng`, or from torch's own state."""

    @property
    def score(self) -> str:
        """Return the name of the score by which rounds are compared; the larger, the better."""

    def network(self, architecture: str, classes: int) -> EmbeddingNetwork:
        """Build a network with fresh weights.

        Raises:
            ValueError: no such architecture.
        """

    def served(self, module: nn.Module) -> nn.Module:
        """Return a network as it is served: its outputs are those of the signature."""

    def split(
        self, targets: Targets, groups: Sequence[str], rng: np.random.Generator
    ) -> tuple[Rows, Rows]:
        """Split N frames into rows to train on and rows to validate on, without splitting groups.

        Raises:
            ValueError: there are too few groups.
        """

    def sampler(self, targets: Targets, rng: np.random.Generator) -> Sampler:
        """Return what draws the frames of each batch by their targets (N rows)."""

    def augment(self, images: Tensor, targets: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """Change normalised images, float32 (N, 3, S, S), and their targets with them."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a network's first output in nats."""

    def measure(self, outputs: Outputs, targets: Targets) -> tuple[float, float]:
        """Return mean loss in nats, and the score, 0..1, of a served network's outputs."""

    def finish(self, card: ModelCard, outputs: Outputs, targets: Targets) -> ModelCard:
        """Complete the card by what validation shows, such as thresholds."""
