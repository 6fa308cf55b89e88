"""Embeds frames by EfficientNet-Lite0 with ImageNet's weights: what is alike lies together."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from visionops_assets.vision.efficientnet import to_input
from visionops_assets.vision.pretrained import pretrained_lite0

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BATCH = 32


def embed(frames: Sequence[Frame | Floats], size_px: int) -> Floats:
    """Embed N frames (height, width, 3), RGB in levels of 0 to 255, scaled to `size_px` a side.

    Returns:
        float32 (N, 1280), each of length 1, so that a product of two is their cosine.
    """
    body = pretrained_lite0().body
    embeddings = []
    with torch.inference_mode():
        for start in range(0, len(frames), BATCH):
            scaled = [_scaled(frame, size_px) for frame in frames[start : start + BATCH]]
            embeddings.append(body(to_input(torch.from_numpy(np.stack(scaled)))).numpy())
    found = np.concatenate(embeddings)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / lengths, np.float32)


def _scaled(frame: Frame | Floats, size_px: int) -> Floats:
    is_larger = min(frame.shape[:2]) > size_px
    interpolation = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
    scaled = cv2.resize(frame, (size_px, size_px), interpolation=interpolation)
    return np.asarray(scaled, np.float32)
