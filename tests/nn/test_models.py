"""The experiments' networks: parameter counts, state_dicts and outputs of the torch classes a user would write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import minidl
from minidl import models, nn
from minidl.errors import ArgumentError
from nn import torch_models as reference
from nn.twins import load_from_torch, pair_of_inputs, relative_error, state_of

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)

# name, ours, torch's, image, parameters
MODELS: list[tuple[str, Any, Any, tuple[int, ...], int]] = [
    ("LeNet", models.LeNet, reference.LeNet, CIFAR, 62_006),
    (
        "A",
        lambda: models.FourConvNet(dropout=0.2),
        lambda: reference.FourConvs([3, 32, 32, 64, 64], [1600, 512, 10]),
        CIFAR,
        890_410,
    ),
    (
        "B",
        lambda: models.WideConvNet(dropout=0.2),
        lambda: reference.FourConvs([3, 32, 64, 128, 256], [6400, 1024, 512, 10]),
        CIFAR,
        7_472_970,
    ),
    ("002 leaky", models.BatchNormConvNet, lambda: reference.BatchNormNet(F.leaky_relu), CIFAR, 2_169_770),
    (
        "002 tanh",
        lambda: models.BatchNormConvNet(nn.Tanh),
        lambda: reference.BatchNormNet(torch.tanh),
        CIFAR,
        2_169_770,
    ),
    ("003", models.AveragePoolConvNet, lambda: reference.AveragePoolNet((3, 3, 3), True), CIFAR, 1_211_018),
    (
        "003 without batch norm, kernels 7 5 3",
        lambda: models.AveragePoolConvNet((7, 5, 3), batch_norm=False, dropout=0.1),
        lambda: reference.AveragePoolNet((7, 5, 3), False),
        CIFAR,
        1_211_018 - 1_728 + 3 * 32 * 40 + 32 * 64 * 16,
    ),
    ("M1", models.MNISTConvNet, lambda: reference.TwoConvs([1, 32, 32], [6272, 128, 10]), MNIST, 813_802),
    (
        "M2",
        lambda: models.TwoConvNet(MNIST, (16, 16), (128,), pool_dropout=0.0),
        lambda: reference.TwoConvs([1, 16, 16], [3136, 128, 10]),
        MNIST,
        160 + 2_320 + 3136 * 128 + 128 + 1_290,
    ),
    (
        "C1",
        lambda: models.TwoConvNet(CIFAR, (16, 16), (128,)),
        lambda: reference.TwoConvs([3, 16, 16], [4096, 128, 10]),
        CIFAR,
        448 + 2_320 + 4096 * 128 + 128 + 1_290,
    ),
    (
        "C2",
        lambda: models.TwoConvNet(CIFAR, (32, 32), (256, 128)),
        lambda: reference.TwoConvs([3, 32, 32], [8192, 256, 128, 10]),
        CIFAR,
        896 + 9_248 + 8192 * 256 + 256 + 256 * 128 + 128 + 1_290,
    ),
    (
        "C3",
        lambda: models.TwoConvNet(CIFAR, (16, 32), (64,)),
        lambda: reference.TwoConvs([3, 16, 32], [8192, 64, 10]),
        CIFAR,
        448 + 4_640 + 8192 * 64 + 64 + 650,
    ),
    ("linear", lambda: models.MLP(3072, 10), lambda: reference.FullyConnected([3072, 10], F.relu), CIFAR, 30_730),
    (
        "MLP",
        lambda: models.MLP(3072, 120, 84, 10),
        lambda: reference.FullyConnected([3072, 120, 84, 10], F.relu),
        CIFAR,
        379_774,
    ),
    (
        "MLP without activation",
        lambda: models.MLP(784, 256, 128, 10, activation=None),
        lambda: reference.FullyConnected([784, 256, 128, 10], lambda x: x),
        MNIST,
        784 * 256 + 256 + 256 * 128 + 128 + 1_290,
    ),
]


@pytest.mark.parametrize(("name", "make", "make_torch", "image", "count"), MODELS, ids=[row[0] for row in MODELS])
def test_model_is_its_torch_twin(name: str, make: Any, make_torch: Any, image: tuple[int, ...], count: int) -> None:
    ours, theirs = make().double(), make_torch().double()
    assert sum(p.numel() for p in ours.parameters()) == count
    assert sum(p.numel() for p in theirs.parameters()) == count
    assert state_of(ours) == state_of(theirs)
    load_from_torch(ours, theirs)
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x, expected = pair_of_inputs(2, *image)
    if any(isinstance(module, torch.nn.BatchNorm2d) for module in theirs.modules()):
        assert relative_error(ours(x), theirs(expected)) < 1e-9  # batch statistics; moves the running ones
    ours.eval()
    theirs.eval()
    with minidl.no_grad(), torch.no_grad():
        assert relative_error(ours(x), theirs(expected)) < 1e-9


@pytest.mark.parametrize(
    ("make", "places"),
    [
        (lambda: models.FourConvNet(0.2), 2),
        (lambda: models.WideConvNet(0.2), 2),
        (models.BatchNormConvNet, 3),
        (lambda: models.AveragePoolConvNet(dropout=0.1), 5),
        (models.MNISTConvNet, 2),
        (lambda: models.TwoConvNet(CIFAR, (16, 16), (32, 16)), 2),
    ],
)
def test_places_of_dropout(make: Any, places: int) -> None:
    net = make()
    image = MNIST if isinstance(net, models.MNISTConvNet) else CIFAR
    calls = []
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda m, args, out: calls.append((m.p, args[0].dim())))
    net(minidl.zeros(2, *image))
    assert len(calls) == places
    assert all(p > 0 for p, _ in calls)


def test_features_of_the_average_pool_net() -> None:
    assert models.AveragePoolConvNet().eval().features(minidl.zeros(1, 3, 32, 32)).shape == (1, 2048)


BAD = [
    (lambda: models.AveragePoolConvNet((3, 4, 3)), "three odd kernel_sizes, got (3, 4, 3)"),
    (lambda: models.AveragePoolConvNet((3, 3)), "three odd kernel_sizes"),
    (lambda: models.BatchNormConvNet("tanh"), "activation to be a class such as nn.Tanh, got 'tanh'"),
    (lambda: models.BatchNormConvNet(nn.Tanh()), "activation to be a class such as nn.Tanh, got Tanh()"),
    (lambda: models.MLP(10), "at least two sizes"),
    (lambda: models.TwoConvNet((1, 27, 28), (4, 4), (8,)), "an even height and width"),
    (lambda: models.TwoConvNet((1, 28, 28), (4, 4), ()), "at least one hidden layer"),
    (lambda: models.FourConvNet(dropout=2), "p between 0 and 1, got 2"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        call()
    assert message in str(error.value)
