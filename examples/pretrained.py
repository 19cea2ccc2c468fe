"""ResNets that begin with somebody else's weights: loading these, a new last layer, larger images, frozen layers."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from command_line import BadInput

import minidl
from minidl import models, nn
from minidl.nn import functional as F

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "RESNETS", "freeze", "load_imagenet_weights", "make_resnet"]

RESNETS = {"resnet18": models.resnet18, "resnet34": models.resnet34, "resnet50": models.resnet50}

# Of the channels of ImageNet's pixels in [0, 1]: torchvision's weights were trained on images standardised by these.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_CLASSES = 1000


def make_resnet(name: str, classes: int, size: int) -> models.ResNet:
    """A ResNet of RESNETS for that many classes, which enlarges its images (N, 3, H, W) to (N, 3, size, size) itself.

    Batches thus stay small until they are on the device, and the keys of its state_dict are torchvision's.
    """
    model = RESNETS[name](num_classes=classes)
    model.register_forward_pre_hook(partial(_enlarge, size))
    return model


def _enlarge(size: int, model: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    (images,) = arguments
    if images.shape[2:] == (size, size):
        return arguments
    return (F.interpolate(images, size=size, mode="bilinear"),)


def load_imagenet_weights(model: models.ResNet, path: str | os.PathLike[str]) -> None:
    """Give the network torchvision's weights for ImageNet, from a safetensors file; its own last layer stays.

    Raises BadInput for a file that is not there, is a PyTorch checkpoint or does not fit: then the message lists the
    keys that are missing, unexpected and of another shape. Those of the last layer, ``fc``, are of 1,000 classes.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"--weights: there is no file {path}.")
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix in (".pth", ".pt") or start == b"PK\x03\x04" or start[:1] == b"\x80":
        raise BadInput(
            f"--weights: {path} is a PyTorch checkpoint; turn it into safetensors first: "
            f"python examples/convert_checkpoint.py {path} {path.with_suffix('.safetensors')}"
        )
    state = minidl.load(path)
    counters = [key for key in model.state_dict() if key.endswith("num_batches_tracked")]
    if not any(key in state for key in counters):  # files of before PyTorch 0.4.1 have none: torch too begins at 0
        state.update({key: minidl.tensor(0) for key in counters})
    last = model.fc
    model.fc = nn.Linear(
        last.in_features, IMAGENET_CLASSES
    )  # so that the whole file is compared with the whole network
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise BadInput(f"--weights: {path} does not fit this network as trained on ImageNet: {error}") from error
    finally:
        model.fc = last


def freeze(model: models.ResNet) -> None:
    """Leave only the last layer to train.

    Batch normalisation of the frozen layers works as in evaluation, whatever the mode of the network, so that its
    running statistics stay as they are.
    """
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    model.register_forward_pre_hook(_frozen_layers_in_evaluation)


def _frozen_layers_in_evaluation(model: nn.Module, arguments: tuple[Any, ...]) -> None:
    for name, layer in model.named_children():
        if name != "fc":
            layer.eval()
