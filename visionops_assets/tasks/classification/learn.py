"""How classifiers learn."""

import torch
from torch import Tensor, nn

from visionops_assets.tasks.base import Learning


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
    """See `Learning`."""

    def served(self, module: nn.Module) -> nn.Module:
        """See `Learning`."""
        return _Served(module)


TASK: Learning = _Learning()
