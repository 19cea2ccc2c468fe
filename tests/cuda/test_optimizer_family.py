"""The optimizers without CUDA kernels of their own, clipping, averages and checkpoints, on arrays that lie on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
from minidl import nn, optim
from minidl.train import EarlyStopping, load_checkpoint, save_checkpoint

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1},
    "ASGD": {"lr": 0.1, "t0": 2, "lambd": 0.1},
    "Adadelta": {"lr": 1.0, "maximize": True},
    "Adamax": {"lr": 0.1, "weight_decay": 0.1},
    "NAdam": {"lr": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.1},
    "RAdam": {"lr": 0.1, "betas": (0.9, 0.8)},
}


class Training:
    """A network with its optimizer and all that may stand beside it, on a device."""

    def __init__(self, name: str, device: str) -> None:
        minidl.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double().to(device)
        self.optimizer = getattr(optim, name)(self.model.parameters(), **OPTIMIZERS[name])
        self.schedule = optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.average = optim.swa_utils.AveragedModel(self.model)
        self.stopping = EarlyStopping(self.model)

    def train(self, steps: int) -> list[np.ndarray]:
        device = next(self.model.parameters()).device
        for step in range(steps):
            x = minidl.tensor(np.random.default_rng(step).standard_normal((4, 6))).to(device)
            self.optimizer.zero_grad()
            loss = (self.model(x) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_value_(self.model.parameters(), 0.5)
            nn.utils.clip_grad_norm_(self.model.parameters(), 0.3)
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.model)
            self.stopping.update(loss.item())
        return [tensor.detach().cpu().numpy() for tensor in (*self.model.parameters(), *self.average.parameters())]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_on_a_gpu_and_checkpoints_either_way(name: str, tmp_path: Path, cupy: StandIn) -> None:
    expected = Training(name, "cpu").train(8)
    for first, second in (("gpu", "cpu"), ("cpu", "gpu"), ("gpu", "gpu")):
        begun, resumed = Training(name, first), Training(name, second)
        begun.train(4)
        assert next(begun.model.parameters()).device.type == first
        save_checkpoint(tmp_path / "c", vars(begun))
        load_checkpoint(tmp_path / "c", vars(resumed))
        devices = {value.device.type for entry in resumed.optimizer.state.values() for value in entry.values()}
        assert devices == {"cpu", second}  # counts stay on the CPU, buffers lie with their parameters
        for a, b in zip(resumed.train(5), begun.train(5), strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        resumed.stopping.restore()
    for a, b in zip(Training(name, "gpu").train(8), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
