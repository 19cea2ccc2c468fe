"""Module.summary: shapes, counts, and nothing changed behind the user's back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.backend.random import default_generator
from minidl.errors import ArgumentError
from nn.twins import as_numpy


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Layer -> (output shape, parameters)."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
        if len(cells) == 3:
            found[cells[0]] = (cells[1], cells[2])
    return found


def test_lenet(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.LeNet().summary((4, 3, 32, 32)) is None
    text = capsys.readouterr().out
    table = rows(text)
    assert table["LeNet"] == ("(4, 10)", "-")
    assert table["conv1: Conv2d"] == ("(4, 6, 28, 28)", "456")
    assert table["conv2: Conv2d"] == ("(4, 16, 10, 10)", "2,416")
    assert table["pool: MaxPool2d"] == ("(4, 16, 5, 5)", "-")
    assert table["fc1: Linear"] == ("(4, 120)", "48,120")
    assert "Parameters: 62,006 (62,006 trainable), 0.24 MiB" in text
    assert len({len(line) for line in text.splitlines()[:-1]}) == 1  # columns are aligned


def test_shared_frozen_and_unused(capsys: pytest.CaptureFixture[str]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight
            self.pool = nn.MaxPool2d(2, return_indices=True)
            self.unused = nn.Linear(5, 5, dtype=minidl.float64).requires_grad_(False)

        def forward(self, x: Any) -> Any:
            return self.pool(self.b(self.a(x)))[0]

    Net().summary((1, 2, 3))
    text = capsys.readouterr().out
    table = rows(text)
    assert table["a: Linear"][1] == "12"
    assert table["b: Linear"][1] == "3"
    assert table["pool: MaxPool2d"][0] == "(1, 1, 1), (1, 1, 1)"
    assert table["unused: Linear"] == ("-", "30")
    assert "Parameters: 45 (15 trainable)" in text


def test_nothing_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2)).double()
    net[1].eval()
    before = {name: as_numpy(tensor).copy() for name, tensor in net.state_dict().items()}
    step = default_generator().step
    net.summary((4, 3))
    assert [module.training for module in net] == [True, False, True]
    assert net.training
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(as_numpy(tensor), before[name])
    assert default_generator().step == step
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_wrong_shape_names_the_layer_and_leaves_no_hooks() -> None:
    net = models.LeNet()
    with pytest.raises(ValueError, match="linear: expected"):
        net.summary((1, 3, 40, 32))
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("shape", [32, "1,3,32,32", (1, -3, 32, 32), (1, 3, 32.0, 32), None])
def test_bad_shapes(shape: Any) -> None:
    with pytest.raises(ArgumentError, match=r"LeNet\.summary: expected the input's shape with its batch axis"):
        models.LeNet().summary(shape)
