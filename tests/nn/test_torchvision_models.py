"""ResNets and VGG-11 against torchvision with the same random weights: keys, outputs, gradients of a training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision

import minidl
from minidl import models, nn
from minidl.errors import ArgumentError
from nn.twins import load_from_torch, state_of

# name, arguments, parameters for these arguments
NETWORKS: list[tuple[str, dict[str, Any], int]] = [
    ("resnet18", {"num_classes": 10}, 11_181_642),
    ("resnet34", {"num_classes": 10}, 21_289_802),
    ("resnet50", {"num_classes": 10}, 23_528_522),
    ("vgg11", {"num_classes": 10, "dropout": 0.0}, 128_807_306),
]
SIZE = {"vgg11": 32}


def twins(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    torch.manual_seed(1)
    theirs = getattr(torchvision.models, name)(weights=None, **arguments)
    ours = getattr(models, name)(**arguments)
    load_from_torch(ours, theirs)
    return ours, theirs


def images(name: str, dtype: Any) -> np.ndarray:
    size = SIZE.get(name, 48)
    return np.random.default_rng(0).standard_normal((4, 3, size, size)).astype(dtype)


def largest_difference(ours: np.ndarray, theirs: np.ndarray, least: float = 0.0) -> float:
    """Relative to the largest element of theirs, or to ``least`` where that is larger."""
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), least))


def check_training_step(ours: Any, theirs: Any, x: np.ndarray, allowed: float) -> None:
    """Loss, gradients of all parameters and running statistics of one step, relative to the largest of each."""
    labels = np.array([0, 3, 9, 3])
    loss = nn.functional.cross_entropy(ours.train()(minidl.from_numpy(x)), minidl.from_numpy(labels))
    other = torch.nn.functional.cross_entropy(theirs.train()(torch.from_numpy(x)), torch.from_numpy(labels))
    assert loss.item() == pytest.approx(other.item(), rel=allowed)
    loss.backward()
    other.backward()
    wanted = {key: p.grad.numpy() for key, p in theirs.named_parameters()}
    # A bias whose effect the next batch norm takes away has no gradient but rounding.
    least = 1e-3 * max(np.abs(gradient).max() for gradient in wanted.values())
    errors = {key: largest_difference(p.grad.numpy(), wanted[key], least) for key, p in ours.named_parameters()}
    assert {key: error for key, error in errors.items() if not error < allowed} == {}
    buffers = dict(theirs.named_buffers())
    for key, buffer in ours.named_buffers():
        assert largest_difference(buffer.numpy(), buffers[key].numpy()) < allowed, key


@pytest.mark.parametrize(("name", "arguments", "parameters"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_keys_outputs_and_a_training_step(name: str, arguments: dict[str, Any], parameters: int) -> None:
    """In float32. In training the biases of batch norm keep most sums away from 0: where one of them rounds to the
    other side of a ReLU's kink, the gradients of these few pixels differ by a tenth, torch's own from torch's in
    float64 too.
    """
    ours, theirs = twins(name, arguments)
    assert sum(p.numel() for p in ours.parameters()) == parameters
    assert list(state_of(ours)) == list(state_of(theirs))
    assert state_of(ours) == state_of(theirs)
    x = images(name, np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x)).numpy()
    with minidl.no_grad():
        assert largest_difference(ours.eval()(minidl.from_numpy(x)).numpy(), expected) < 1e-4
        for module in ours.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.fill_(3)
    for other in theirs.modules():
        if isinstance(other, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(other.bias, 3)
    check_training_step(ours, theirs, x, 1e-3)


@pytest.mark.parametrize(("name", "arguments"), [row[:2] for row in NETWORKS[:3]], ids=[row[0] for row in NETWORKS[:3]])
def test_a_training_step_in_double_precision(name: str, arguments: dict[str, Any]) -> None:
    """With the weights as they are drawn: no sum is so close to 0 that float64 decides about it."""
    ours, theirs = twins(name, arguments)
    check_training_step(ours.double(), theirs.double(), images(name, np.float64), 1e-9)


def test_first_values_follow_torchvisions_rules() -> None:
    minidl.manual_seed(0)
    ours, theirs = models.resnet18(num_classes=10, zero_init_residual=True), torchvision.models.resnet18(num_classes=10)
    wanted = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        if "conv" in key:
            assert parameter.std().item() == pytest.approx(wanted[key].std().item(), rel=0.06), key
            assert abs(parameter.mean().item()) < 0.05 * parameter.std().item() + 1e-3, key
    for key, parameter in ours.named_parameters():
        if key.endswith("bn2.weight"):
            assert parameter.sum().item() == 0, key
        elif key.endswith(("bn1.weight", "downsample.1.weight")):
            assert parameter.min().item() == parameter.max().item() == 1, key


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "vgg11"])
def test_weights_are_the_users_own(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{name}: expected weights=None, got 'DEFAULT'.*load_state_dict"):
        getattr(models, name)(weights="DEFAULT")


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"ResNet: .*block"):
        models.ResNet(nn.Conv2d, (1, 1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"ResNet: .*four.*\(1, 1\)"):
        models.ResNet(models.resnet.BasicBlock, (1, 1))


def test_features_are_what_the_last_layer_sees() -> None:
    net = models.ResNet(models.resnet.BasicBlock, (1, 1, 1, 1), num_classes=3).eval()
    x = minidl.randn(1, 3, 32, 32)
    features = net.features(x)
    assert features.shape == (1, 512)
    np.testing.assert_array_equal(net.fc(features).detach().numpy(), net(x).detach().numpy())
