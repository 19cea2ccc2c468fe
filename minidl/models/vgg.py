"""VGG-11 for images of ImageNet's size, with torchvision's names and keys."""

from __future__ import annotations

from minidl import nn
from minidl._tensor import Tensor
from minidl.models.resnet import no_download

__all__ = ["VGG", "vgg11"]

# The channels of the 3x3 convolutions; None is a 2x2 max pool. Configuration A of the paper.
_A = (64, None, 128, None, 256, 256, None, 512, 512, None, 512, 512, None)


class VGG(nn.Module):
    """3x3 convolutions and max pools, then three linear layers: images (N, 3, H, W) -> logits (N, num_classes).

    features: the convolutional part, which must end with 512 channels; dropout: after the first two linear layers;
    init_weights: convolutions from Kaiming's normal distribution over their outputs, linear layers from N(0, 0.01^2),
    biases 0. Source: Simonyan & Zisserman 2014; torchvision.models.VGG.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if not init_weights:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))  # (N, 512, 7, 7) -> (N, 25088)


def vgg11(*, weights: None = None, num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-11, 132,863,336 parameters for 1,000 classes. Source: torchvision.models.vgg11."""
    no_download("vgg11", weights)
    layers: list[nn.Module] = []
    channels = 3
    for planes in _A:
        if planes is None:
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, planes, 3, padding=1), nn.ReLU()]
            channels = planes
    return VGG(nn.Sequential(*layers), num_classes, dropout=dropout)
