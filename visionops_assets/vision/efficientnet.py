"""The body of EfficientNet-Lite0: an embedding of 1,280 numbers, 0.4 GFLOP at 224 px.

Source: M. Tan, Q. Le, "EfficientNet", ICML 2019, in the Lite variant of TensorFlow's repository
(`tpu/models/official/efficientnet/lite`): ReLU6 in place of swish, and no squeeze-and-excitation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING_SIZE = 1_280
STEM_CHANNELS = 32
STAGES = (
    # kernel, blocks, channels, expansion, stride of the first block: table 1 of the paper
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01
"""TensorFlow's: the published weights were learned with them."""


class SameConvolution(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "SAME": an odd pixel goes right and below.

    PyTorch's own padding is equal on all sides, and would shift what a stride of 2 samples.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        tall, wide = (self._missing_px(side) for side in features.shape[-2:])
        pads = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
        return super().forward(functional.pad(features, pads))

    def _missing_px(self, side_px: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-side_px // stride) - 1) * stride + kernel - side_px, 0)


def _unit(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> Iterator[nn.Module]:
    yield SameConvolution(inputs, outputs, kernel, stride, groups)
    yield nn.BatchNorm2d(outputs, NORM_EPSILON, NORM_MOMENTUM)


class InvertedBottleneck(nn.Module):
    """Widens by 1 x 1, filters each channel by itself, narrows by 1 x 1, and adds its input.

    Source: Sandler et al., "MobileNetV2", CVPR 2018. The input is added where the shapes agree.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        widening = [*_unit(inputs, width), nn.ReLU6()] if expansion > 1 else []
        self.residual = nn.Sequential(
            *widening,
            *_unit(width, width, kernel, stride, groups=width),
            nn.ReLU6(),
            *_unit(width, outputs),
        )
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        residual: Tensor = self.residual(features)
        return features + residual if self.adds_input else residual


def efficientnet_lite0() -> tuple[nn.Module, int]:
    """Build the body with fresh weights, and name the size of its embedding.

    Its state is, in order and shapes, that of TensorFlow's and of PyTorch's ports, but for the
    head, which comes after it.
    """
    blocks: list[nn.Module] = []
    channels = STEM_CHANNELS
    for kernel, count, outputs, expansion, first_stride in STAGES:
        for stride in (first_stride, *[1] * (count - 1)):
            blocks.append(InvertedBottleneck(channels, outputs, kernel, expansion, stride))
            channels = outputs
    body = nn.Sequential(
        *_unit(3, STEM_CHANNELS, kernel=3, stride=2),
        nn.ReLU6(),
        *blocks,
        *_unit(channels, EMBEDDING_SIZE),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return body, EMBEDDING_SIZE


def to_input(frames: Tensor) -> Tensor:
    """Scale frames (N, S, S, 3), RGB in levels of 0 to 255, to -0.99 ... 1: float32 (N, 3, S, S).

    (value - 127) / 128, as the published weights were learned with (`MEAN_RGB` and `STDDEV_RGB` of
    `efficientnet_lite_builder.py` in TensorFlow's repository).
    """
    return (frames.permute(0, 3, 1, 2).to(torch.float32) - 127) / 128
