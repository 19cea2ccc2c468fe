"""Residual networks for images of ImageNet's size, with torchvision's names and keys: ResNet-18, -34 and -50."""

from __future__ import annotations

from typing import Any

from minidl import nn
from minidl._tensor import Tensor
from minidl.errors import ArgumentError

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50"]


class BasicBlock(nn.Module):
    """relu(x + bn(conv3x3(relu(bn(conv3x3(x)))))): (N, inplanes, H, W) -> (N, planes, H / stride, W / stride).

    downsample: what brings x to the shape of the sum, where they differ.
    """

    expansion = 1  # output channels for every plane

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """Three convolutions, 1x1 down to ``planes``, 3x3 (which takes the stride), 1x1 up to 4 * planes; and the shortcut.

    (N, inplanes, H, W) -> (N, 4 * planes, H / stride, W / stride). The stride on the 3x3 convolution, not the first, is
    torchvision's ("ResNet V1.5").
    """

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A residual network: images (N, 3, H, W) -> logits (N, num_classes).

    block: BasicBlock or Bottleneck; layers: how many blocks at 64, 128, 256 and 512 planes. zero_init_residual: begin
    with every block as the identity. Convolutions start from Kaiming's normal distribution over their outputs. Source:
    He et al. 2015; torchvision.models.ResNet.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: list[int] | tuple[int, ...],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        if block not in (BasicBlock, Bottleneck):
            raise ArgumentError("ResNet", expected="block as BasicBlock or Bottleneck", got=repr(block))
        if len(layers) != 4:
            raise ArgumentError("ResNet", expected="layers as four numbers of blocks", got=repr(layers))
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._blocks(block, 64, layers[0], 1)
        self.layer2 = self._blocks(block, 128, layers[1], 2)
        self.layer3 = self._blocks(block, 256, layers[2], 2)
        self.layer4 = self._blocks(block, 512, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                nn.init.zeros_(module.bn2.weight if isinstance(module, BasicBlock) else module.bn3.weight)

    def _blocks(
        self, block: type[BasicBlock] | type[Bottleneck], planes: int, count: int, stride: int
    ) -> nn.Sequential:
        """``count`` blocks, the first of which takes the stride and changes the number of channels."""
        channels = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != channels:
            shortcut = nn.Conv2d(self.inplanes, channels, 1, stride, bias=False)
            downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))
        first = block(self.inplanes, planes, stride, downsample)
        self.inplanes = channels
        return nn.Sequential(first, *[block(channels, planes) for _ in range(1, count)])

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (N, 512 * expansion)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H / 4, W / 4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 512 * expansion, H / 32, W / 32)
        return self.avgpool(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


def no_download(who: str, weights: Any) -> None:
    """ArgumentError for weights that torchvision would fetch."""
    if weights is not None:
        raise ArgumentError(
            who,
            expected="weights=None",
            got=repr(weights),
            hint="Weights are your own file: load them with model.load_state_dict(minidl.load(file)).",
        )


def resnet18(*, weights: None = None, num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-18, 11,689,512 parameters for 1,000 classes. Source: torchvision.models.resnet18."""
    no_download("resnet18", weights)
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, zero_init_residual)


def resnet34(*, weights: None = None, num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-34, 21,797,672 parameters for 1,000 classes. Source: torchvision.models.resnet34."""
    no_download("resnet34", weights)
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, zero_init_residual)


def resnet50(*, weights: None = None, num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-50, 25,557,032 parameters for 1,000 classes. Source: torchvision.models.resnet50."""
    no_download("resnet50", weights)
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, zero_init_residual)
