"""A network that learns CIFAR-10 quickly: whitened patches first, GELU, batch normalisation without scale.

After Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), section 3.
"""

from __future__ import annotations

from typing import Any

from minidl import nn
from minidl._tensor import Tensor
from minidl.nn.functional import gelu

__all__ = ["WhitenedConvNet"]


class WhitenedConvNet(nn.Module):
    """A fixed 2 x 2 convolution that whitens, then three blocks of two convolutions: 1,972,792 parameters.

    The first layer's 24 filters do not learn (its bias does); they are to be set from the training images' patches,
    which ``examples/reports/fast_training.py`` does. Images (N, 3, 32, 32), outputs (N, 10) divided by 9.
    """

    def __init__(self, widths: tuple[int, int, int] = (64, 256, 256), num_classes: int = 10) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)  # 24: each of the 2 x 2 x 3 directions of a patch, with either sign
        self.whiten.weight.requires_grad_(False)
        self.block1 = _Block(24, widths[0])
        self.block2 = _Block(widths[0], widths[1])
        self.block3 = _Block(widths[1], widths[2])
        self.pool = nn.MaxPool2d(3)
        self.head = nn.Linear(widths[2], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = gelu(self.whiten(x))  # (N, 24, 31, 31)
        x = self.block3(self.block2(self.block1(x)))  # (N, 256, 3, 3)
        x = self.pool(x).flatten(1)  # (N, 256, 1, 1) -> (N, 256)
        return self.head(x) * (1 / 9)


class _Block(nn.Module):
    """Convolution, pool, norm, GELU; convolution, norm, GELU: (N, C, H, W) -> (N, O, H // 2, W // 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _norm(out_channels)
        self.conv2 = _convolution(out_channels, out_channels)
        self.norm2 = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = gelu(self.norm1(self.pool(self.conv1(x))))
        return gelu(self.norm2(self.conv2(x)))


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3 x 3, the size kept, whose first filters pass on their channel as it is: the identity is learned already."""
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    filters: Any = layer.weight.data
    filters[:in_channels] = 0
    for channel in range(in_channels):
        filters[channel, channel, 1, 1] = 1
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with a bias but without a scale, its running statistics quick to follow."""
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer
