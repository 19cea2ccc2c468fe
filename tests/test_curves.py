"""Whole networks against torch: the loss of every step, from the same weights and the same batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import minidl
import minidl.nn
import minidl.optim
from minidl import models

STEPS = 50


class LeNet(nn.Module):
    """Written after the table of the experiments, not after minidl's class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class FourConvNet(nn.Module):
    """Model A of report 000."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3)
        self.conv3, self.conv4 = nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)
        self.fc1, self.fc2 = nn.Linear(1600, 512), nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.conv2(self.conv1(x).relu()).relu(), 2)
        x = nn.functional.max_pool2d(self.conv4(self.conv3(x).relu()).relu(), 2).flatten(1)
        return self.fc2(self.fc1(x).relu())


class AveragePoolConvNet(nn.Module):
    """The network of report 003."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
        self.fc1, self.bn4 = nn.Linear(2048, 512), nn.BatchNorm1d(512)
        self.fc2, self.bn5 = nn.Linear(512, 128), nn.BatchNorm1d(128)
        self.fc3 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = nn.functional.avg_pool2d(norm(conv(x)).relu(), 2)
        x = self.bn4(self.fc1(x.flatten(1))).relu()
        return self.fc3(self.bn5(self.fc2(x)).relu())


TWINS: dict[str, tuple[Callable[[], Any], Callable[[], nn.Module], int]] = {
    "LeNet": (models.LeNet, LeNet, 4),
    "FourConvNet": (models.FourConvNet, FourConvNet, 4),
    "AveragePoolConvNet": (models.AveragePoolConvNet, AveragePoolConvNet, 8),
}

OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "SGD": lambda optim, parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
    "Adam": lambda optim, parameters: optim.Adam(parameters, lr=0.001),
}


def learnable_batches(batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ten fixed patterns under noise, a batch a step: something to learn, at no cost."""
    rng = np.random.default_rng(5)
    patterns = rng.standard_normal((10, 3, 32, 32))
    labels = rng.integers(0, 10, (STEPS, batch))
    return [(0.5 * patterns[y] + 0.5 * rng.standard_normal((batch, 3, 32, 32)), y) for y in labels]


def curve(
    library: Any, model: Any, optimizer: str, batches: list[tuple[np.ndarray, np.ndarray]], dtype: type
) -> np.ndarray:
    """The loss before every step."""
    criterion = library.nn.CrossEntropyLoss()
    stepper = OPTIMIZERS[optimizer](library.optim, model.parameters())
    losses = []
    for x, y in batches:
        stepper.zero_grad()
        loss = criterion(model(library.from_numpy(x.astype(dtype))), library.from_numpy(y))
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    return np.array(losses)


def pair(name: str, dtype: type) -> tuple[Any, nn.Module]:
    """minidl's network and torch's with the same weights (drawn by torch in float32)."""
    ours, theirs, _ = TWINS[name]
    torch.manual_seed(1)
    twin = theirs()
    network = ours()
    state = {key: value.detach().numpy().copy() for key, value in twin.state_dict().items()}
    network.load_state_dict({key: minidl.from_numpy(value) for key, value in state.items()})
    if dtype is np.float64:
        return network.double(), twin.double()
    return network, twin


@pytest.fixture(scope="module")
def double_curves() -> dict[tuple[str, str], np.ndarray]:
    """Torch's float64 curves, computed once."""
    return {}


def torch_double(cache: dict[tuple[str, str], np.ndarray], name: str, optimizer: str) -> np.ndarray:
    if (name, optimizer) not in cache:
        batches = learnable_batches(TWINS[name][2])
        cache[name, optimizer] = curve(torch, pair(name, np.float64)[1], optimizer, batches, np.float64)
    return cache[name, optimizer]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float64(name: str, optimizer: str, double_curves: dict[tuple[str, str], np.ndarray]) -> None:
    network, twin = pair(name, np.float64)
    ours = curve(minidl, network, optimizer, learnable_batches(TWINS[name][2]), np.float64)
    theirs = torch_double(double_curves, name, optimizer)
    assert theirs[-10:].mean() < 0.6 * theirs[:5].mean(), "the curve has to fall, or the comparison shows little"
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    assert set(network.state_dict()) == set(twin.state_dict())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float32(name: str, optimizer: str, double_curves: dict[tuple[str, str], np.ndarray]) -> None:
    """At most three times as far from the float64 curve as torch's own float32 curve, step by step at the worst."""
    exact = torch_double(double_curves, name, optimizer)
    network, twin = pair(name, np.float32)
    batches = learnable_batches(TWINS[name][2])
    ours = np.abs(curve(minidl, network, optimizer, batches, np.float32) - exact)
    theirs = np.abs(curve(torch, twin, optimizer, batches, np.float32) - exact)
    floor = 8 * np.finfo(np.float32).eps * np.abs(exact).max()  # below this both are only rounding
    assert ours.max() <= 3 * max(theirs.max(), floor)
    # The worst step says little of the others: the typical step has to be as good.
    assert np.median(ours) <= 3 * max(np.median(theirs), floor)
