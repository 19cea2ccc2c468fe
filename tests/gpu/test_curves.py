"""LeNet, model A and the 003 network on the GPU: the loss of every step against torch's, on the GPU too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gradients.on_device import OnDevice
from test_curves import OPTIMIZERS, RUNS, TWINS, Batch, exact_run, learnable_batches, same_as, twin

import minidl


def curve(library: Any, network: Any, optimizer: str, batches: list[Batch], dtype: type, device: Any) -> np.ndarray:
    """The loss before every step; read at the end, so that nothing waits in between."""
    stepper = OPTIMIZERS[optimizer](library.optim, network.parameters())
    losses = []
    for x, y in batches:
        stepper.zero_grad()
        inputs = library.from_numpy(x.astype(dtype)).to(device)
        loss = library.nn.functional.cross_entropy(network(inputs), library.from_numpy(y).to(device))
        loss.backward()
        stepper.step()
        losses.append(loss.detach())
    return np.array([loss.item() for loss in losses])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float64(name: str, optimizer: str) -> None:
    ours = same_as(twin(name, 0, torch.float64), name).to("gpu")
    losses = curve(minidl, ours, optimizer, learnable_batches(name, 0), np.float64, "gpu")
    np.testing.assert_allclose(losses, exact_run(name, optimizer, 0)[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", TWINS)
def test_float32(name: str, optimizer: str, torch_device: torch.device) -> None:
    """At most three times as far from the float64 curve as torch's own on the GPU, in the best of a few runs."""
    ours, theirs = [], []
    for seed in range(RUNS):
        exact, batches = exact_run(name, optimizer, seed)[0], learnable_batches(name, seed)
        floor = 4 * np.finfo(np.float32).eps * exact.max()
        network = twin(name, seed, torch.float32)
        losses = curve(minidl, same_as(network, name).to("gpu"), optimizer, batches, np.float32, "gpu")
        ours.append(float(np.abs(losses - exact).max()))
        losses = curve(torch, network.to(torch_device), optimizer, batches, np.float32, torch_device)
        theirs.append(float(np.abs(losses - exact).max()))
        if ours[-1] <= 3 * max(theirs[-1], floor):
            return
    pytest.fail(f"distances from the float64 curve: minidl {ours}, torch {theirs}")


def test_tf32_trains_too() -> None:
    """With the tensor cores rounding, the curve stays near the exact one and falls."""
    minidl.set_float32_matmul_precision("high")
    exact, batches = exact_run("LeNet", "SGD", 0)[0], learnable_batches("LeNet", 0)
    ours = same_as(twin("LeNet", 0, torch.float32), "LeNet").to("gpu")
    losses = curve(OnDevice("gpu"), ours, "SGD", batches, np.float32, "gpu")
    assert abs(losses[0] - exact[0]) < 1e-2
    assert losses[-10:].mean() < 0.95 * losses[:5].mean()
