"""Random, realistic changes of training images, vectorised in PyTorch.

Geometry is one affine map per image, colour one gain and one offset per channel.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from visionops_assets.vision.recipe import Augmentation


def augment(images: Tensor, by: Augmentation) -> Tensor:
    """Change normalised images, float32 (N, 3, S, S), each in its own way.

    Draws from torch's global random state. Pixels beyond the border repeat it.
    """
    return _recolour(_move(images, by), by)


def _move(images: Tensor, by: Augmentation) -> Tensor:
    """Crop, shift, zoom, turn and mirror by one affine map from output to input positions.

    Positions run from -1 to 1, so a share of the width is twice that number.
    """
    count = len(images)
    kept = 1 - by.crop * torch.rand(count)
    scale = kept / (1 + by.zoom * _even(count))
    shift = _even(count, 2) * ((1 - kept)[:, None] + 2 * by.shift)
    angle = math.radians(by.rotation_deg) * _even(count)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    mirror = torch.sign(_even(count)) if by.flip == "horizontal" else torch.ones(count)
    rows = [cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]]
    maps = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _recolour(images: Tensor, by: Augmentation) -> Tensor:
    """Change contrast, brightness and the balance of the channels."""
    count = len(images)
    gain = 1 + by.brightness * _even(count, 1, 1, 1) + by.colour * _even(count, 3, 1, 1)
    return images * gain + by.brightness * _even(count, 1, 1, 1)


def _even(*shape: int) -> Tensor:
    """Draw numbers evenly from -1 to 1."""
    return torch.rand(*shape) * 2 - 1
