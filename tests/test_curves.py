"""Whole networks against torch: the loss of every step, from the same weights and the same batches; dropout off.

In float64 the curves agree to the last digits. In float32 every network meets an accident now and then: a unit comes to
lie within rounding of a ReLU's or a pool's kink and falls to the other side, and from there on the curves part, torch's
two memory layouts from one another as much as minidl's from either. What the arithmetic itself adds shows in runs
without such an accident, and in gradients taken at points of one and the same curve.
"""

from __future__ import annotations

import functools
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
RUNS = 3
PROBES = (0, 10, 20, 30, 40)


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
    "LeNet": (models.LeNet, LeNet, 8),
    "FourConvNet": (models.FourConvNet, FourConvNet, 2),
    "AveragePoolConvNet": (models.AveragePoolConvNet, AveragePoolConvNet, 8),
}

OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "SGD": lambda optim, parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
    "Adam": lambda optim, parameters: optim.Adam(parameters, lr=0.0005),
}

Batch = tuple[np.ndarray, np.ndarray]


def learnable_batches(name: str, seed: int) -> list[Batch]:
    """Ten patterns of coloured squares under noise, a batch a step: something to learn, at no cost."""
    rng = np.random.default_rng(seed)
    patterns = np.kron(rng.standard_normal((10, 3, 4, 4)), np.ones((8, 8)))  # (10, 3, 32, 32)
    labels = rng.integers(0, 10, (STEPS, TWINS[name][2]))
    return [(patterns[y] + 0.3 * rng.standard_normal((len(y), 3, 32, 32)), y) for y in labels]


def twin(name: str, seed: int, dtype: torch.dtype) -> nn.Module:
    """Torch's network, its weights drawn in float32."""
    torch.manual_seed(seed)
    return TWINS[name][1]().to(dtype)


def same_as(network: nn.Module, name: str) -> Any:
    """minidl's network with the weights and in the dtype of torch's."""
    ours = TWINS[name][0]()
    state = {key: minidl.from_numpy(value.detach().numpy().copy()) for key, value in network.state_dict().items()}
    if next(network.parameters()).dtype == torch.float64:
        ours.double()
    ours.load_state_dict(state)
    return ours


def loss_of(library: Any, network: Any, batch: Batch, dtype: type) -> Any:
    """The loss of one batch, in training mode."""
    x, y = batch
    return library.nn.functional.cross_entropy(network(library.from_numpy(x.astype(dtype))), library.from_numpy(y))


def curve(
    library: Any, network: Any, optimizer: str, batches: list[Batch], dtype: type, watch: Any = None
) -> np.ndarray:
    """The loss before every step."""
    stepper = OPTIMIZERS[optimizer](library.optim, network.parameters())
    losses = []
    for step, batch in enumerate(batches):
        if watch is not None:
            watch(step, network)
        stepper.zero_grad()
        loss = loss_of(library, network, batch, dtype)
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    return np.array(losses)


@functools.cache
def exact_run(name: str, optimizer: str, seed: int) -> tuple[np.ndarray, dict[int, dict[str, torch.Tensor]]]:
    """Torch's curve in float64, and the network's float32 state at the probed steps."""
    states: dict[int, dict[str, torch.Tensor]] = {}

    def keep(step: int, network: nn.Module) -> None:
        if step in PROBES:
            states[step] = {
                key: value.detach().to(torch.float32, copy=True) for key, value in network.state_dict().items()
            }

    network = twin(name, seed, torch.float64)
    return curve(torch, network, optimizer, learnable_batches(name, seed), np.float64, keep), states


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float64(name: str, optimizer: str) -> None:
    ours = same_as(twin(name, 0, torch.float64), name)
    losses = curve(minidl, ours, optimizer, learnable_batches(name, 0), np.float64)
    exact, _ = exact_run(name, optimizer, 0)
    assert exact[-10:].mean() < 0.9 * exact[:5].mean(), "the curve has to fall, or the comparison shows little"
    np.testing.assert_allclose(losses, exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float32(name: str, optimizer: str) -> None:
    """At most three times as far from the float64 curve as torch's own float32 curve, in the best of a few runs."""
    ours, theirs = [], []
    for seed in range(RUNS):
        exact, batches = exact_run(name, optimizer, seed)[0], learnable_batches(name, seed)
        floor = 4 * np.finfo(np.float32).eps * exact.max()  # a few units in the last place
        for layout in (torch.contiguous_format, torch.channels_last):
            network = twin(name, seed, torch.float32).to(memory_format=layout)
            if layout is torch.contiguous_format:
                losses = curve(minidl, same_as(network, name), optimizer, batches, np.float32)
                ours.append(float(np.abs(losses - exact).max()))
            losses = curve(torch, network, optimizer, batches, np.float32)
            theirs.append(float(np.abs(losses - exact).max()))
            if ours[-1] <= 3 * max(theirs[-1], floor):
                return
    pytest.fail(f"distances from the float64 curve: minidl {ours}, torch {theirs}")


@pytest.mark.parametrize("name", TWINS)
def test_float32_gradients_along_the_curve(name: str) -> None:
    """At five points of torch's float64 curve: gradients as close to float64 as torch's float32 ones."""
    batches, (_, states) = learnable_batches(name, 0), exact_run(name, "SGD", 0)
    errors: dict[str, list[tuple[float, float]]] = {}
    for step, state in states.items():
        exact, theirs = twin(name, 0, torch.float64), twin(name, 0, torch.float32)
        exact.load_state_dict(state)
        theirs.load_state_dict(state)
        ours = same_as(theirs, name)
        rounded = (batches[step][0].astype(np.float32), batches[step][1])
        loss_of(torch, exact, rounded, np.float64).backward()
        loss_of(torch, theirs, rounded, np.float32).backward()
        loss_of(minidl, ours, rounded, np.float32).backward()
        reference = {key: parameter.grad.numpy() for key, parameter in exact.named_parameters()}
        # a bias before a batch norm has no gradient but rounding: it is measured against the whole gradient
        whole = np.sqrt(sum(float((gradient**2).sum()) for gradient in reference.values()))
        mine, yours = dict(ours.named_parameters()), dict(theirs.named_parameters())
        for key, gradient in reference.items():
            scale = max(float(np.linalg.norm(gradient)), 1e-3 * whole)
            errors.setdefault(key, []).append(
                tuple(float(np.linalg.norm(p[key].grad.numpy() - gradient)) / scale for p in (mine, yours))
            )
    medians = {key: np.median(np.array(pairs), axis=0) for key, pairs in errors.items()}
    assert {key: pair for key, pair in medians.items() if pair[0] > 3 * max(pair[1], 1e-7)} == {}
