"""The trainable networks, by name. Each gives the numbers of its head and the embedding before."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from visionops_assets.contracts import Network


class EmbeddingNetwork(nn.Module):
    """A body that turns images into an embedding, and a linear head on it."""

    def __init__(self, body: nn.Module, embedding_size: int, width: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.body = body
        self.head = nn.Linear(embedding_size, width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map float32 (N, 3, S, S), S >= 8, to numbers (N, width) and embedding (N, E)."""
        embedding = self.body(images)
        return self.head(embedding), embedding


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al., "Deep Residual Learning", 2016).

    The shortcut is the identity where the shapes agree, else a 1 x 1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return torch.relu(self.residual(features) + self.shortcut(features))


def _resnet_tiny() -> tuple[nn.Module, int]:
    """Build three residual stages behind a stem of stride 2: 0.2 M weights, made for two cores."""
    embedding_size = 96
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        ResidualBlock(16, 24, stride=2),
        ResidualBlock(24, 48, stride=2),
        ResidualBlock(48, embedding_size, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return body, embedding_size


def _resnet_18() -> tuple[nn.Module, int]:
    """Build the ResNet-18 of He et al. (2016): 11 M weights, 1.8 GFLOP at 224 px."""
    embedding_size = 512
    body = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        ResidualBlock(64, 64, stride=1),
        ResidualBlock(64, 64, stride=1),
        ResidualBlock(64, 128, stride=2),
        ResidualBlock(128, 128, stride=1),
        ResidualBlock(128, 256, stride=2),
        ResidualBlock(256, 256, stride=1),
        ResidualBlock(256, embedding_size, stride=2),
        ResidualBlock(embedding_size, embedding_size, stride=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return body, embedding_size


BODIES: dict[Network, Callable[[], tuple[nn.Module, int]]] = {
    "resnet-tiny": _resnet_tiny,
    "resnet-18": _resnet_18,
}


def build(architecture: str, width: int) -> EmbeddingNetwork:
    """Build a network whose head gives `width` numbers.

    Its weights are fresh, from torch's global random state.

    Raises:
        ValueError: no such architecture.
    """
    if architecture not in BODIES:
        raise ValueError(f"No architecture {architecture!r}; there is {', '.join(BODIES)}.")
    body, embedding_size = BODIES[architecture]()
    return EmbeddingNetwork(body, embedding_size, width)
