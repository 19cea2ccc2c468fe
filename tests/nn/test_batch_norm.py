"""Batch norm over several steps: outputs, gradients and running statistics follow torch's, then evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from nn.twins import as_numpy, pair_of_inputs, relative_error


@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"momentum": 0.4, "affine": False}, {"momentum": 0.0}])
@pytest.mark.parametrize(("name", "shape"), [("BatchNorm1d", (6, 3)), ("BatchNorm2d", (4, 3, 5, 2))])
def test_statistics_over_several_steps(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    ours = getattr(nn, name)(3, **options).double()
    theirs = getattr(torch.nn, name)(3, **options).double()
    for step in range(5):
        x, expected_x = pair_of_inputs(*shape, seed=step)
        x, expected_x = (x * 3 + step).requires_grad_(), (expected_x * 3 + step).requires_grad_()
        weight, expected_weight = pair_of_inputs(*shape, seed=100 + step)
        y, expected_y = ours(x), theirs(expected_x)
        assert relative_error(y, expected_y) < 1e-12
        (y * weight).sum().backward()
        (expected_y * expected_weight).sum().backward()
        assert relative_error(x.grad, expected_x.grad) < 1e-10
        for key, tensor in theirs.state_dict().items():
            np.testing.assert_allclose(as_numpy(ours.state_dict()[key]), tensor.numpy(), rtol=1e-12, err_msg=key)
    assert ours.num_batches_tracked.item() == 5
    ours.eval()
    theirs.eval()
    x, expected_x = pair_of_inputs(*shape, seed=9)
    before = {key: as_numpy(value).copy() for key, value in ours.state_dict().items()}
    assert relative_error(ours(x), theirs(expected_x)) < 1e-12
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(as_numpy(value), before[key])
    ours.reset_running_stats()
    np.testing.assert_array_equal(as_numpy(ours.running_mean), np.zeros(3))
    np.testing.assert_array_equal(as_numpy(ours.running_var), np.ones(3))
    assert ours.num_batches_tracked.item() == 0


def test_reset_parameters() -> None:
    layer = nn.BatchNorm1d(2)
    with minidl.no_grad():
        layer.weight.fill_(3)
        layer.bias.fill_(4)
    layer(minidl.tensor(np.array([[1.0, 2.0], [3.0, 5.0]], dtype=np.float32)))
    layer.reset_parameters()
    assert layer.weight.tolist() == [1, 1]
    assert layer.bias.tolist() == [0, 0]
    assert layer.running_mean.tolist() == [0, 0]


def test_no_graph_behind_running_statistics() -> None:
    layer = nn.BatchNorm2d(3)
    layer(minidl.randn(2, 3, 4, 4).requires_grad_())
    assert not layer.running_mean.requires_grad
    assert layer.running_mean.is_leaf
