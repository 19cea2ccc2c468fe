"""Activation kernels against torch: values and gradients, special values, every layout, softmax along every axis."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidl import kernels as table
from minidl.kernels.cpu import activation as cpu
from minidl.kernels.plain import activation as plain

from .arrays import close, layouts, leaf, normal

# name -> (torch's function, our forward arguments, what backward gets besides the gradient)
POINTWISE: dict[str, tuple[Any, tuple[float, ...], str]] = {
    "relu": (F.relu, (), "y"),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), (0.2,), "x"),
    "tanh": (torch.tanh, (), "y"),
    "sigmoid": (torch.sigmoid, (), "y"),
}
SOFTMAX = [
    *(((3, 5, 4, 7), dim) for dim in (0, 1, -1)),
    *(((6, 10), dim) for dim in (0, 1)),
    ((2, 101), 1),
    ((9,), 0),
    ((), 0),
    ((0, 4), 1),
    ((4, 0), 1),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("kernels", [plain, table])
def test_pointwise_equals_torch(kernels: Any, name: str, dtype: Any) -> None:
    function, arguments, saved = POINTWISE[name]
    tolerance = 1e-12 if dtype == np.float64 else 5e-7
    forward, backward = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_backward")
    for shape in ((3, 5, 4, 7), (4, 33), (0, 3), (), (3, 11, 1, 500)):
        x = np.asarray(4 * normal(*shape), dtype=dtype)
        grad = np.asarray(normal(*shape, seed=1), dtype=dtype)
        tensor = leaf(x)
        expected = function(tensor)
        expected.backward(torch.tensor(grad))
        for x_, grad_ in zip(layouts(x), layouts(grad)) if x.ndim > 1 else [(x, grad)]:
            y = forward(x_, *arguments)
            assert y.dtype == dtype
            close(y, expected, tolerance)
            dx = backward(grad_, y if saved == "y" else x_, *arguments)
            assert dx.dtype == dtype
            close(dx, tensor.grad, tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("kernels", [plain, table])
def test_special_values_equal_torch(kernels: Any, name: str, dtype: Any) -> None:
    function, arguments, _ = POINTWISE[name]
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30, 100, -100, 1e4, -1e4] * 3, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = getattr(kernels, f"{name}_forward")(x, *arguments)
    np.testing.assert_allclose(y, function(torch.tensor(x)).numpy(), rtol=3e-7, atol=1e-37)


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize(("shape", "dim"), SOFTMAX)
def test_softmax_equals_torch(kernels: Any, shape: tuple[int, ...], dim: int) -> None:
    x = np.asarray(30 * normal(*shape))  # far apart, so that the shift by the maximum is needed
    for x_ in layouts(x) if x.ndim > 1 else [x]:
        close(kernels.softmax_forward(x_, dim), F.softmax(torch.tensor(x), dim))
        close(kernels.log_softmax_forward(x_, dim), F.log_softmax(torch.tensor(x), dim))


def test_softmax_float32_and_special_rows() -> None:
    x = (30 * normal(7, 53)).astype(np.float32)
    x[1, 3] = np.nan
    x[2, 5] = -np.inf
    x[3, 52] = np.nan
    close(cpu.softmax_forward(x, 1), F.softmax(torch.tensor(x), 1), 3e-7)
    close(cpu.log_softmax_forward(x, 1), F.log_softmax(torch.tensor(x), 1), 3e-7)


def test_the_exponential_is_within_two_units_in_the_last_place() -> None:
    """softmax([x, 0]) reaches it: its first value is exp(x) / (1 + exp(x)), for x < -18 exp(x) itself."""
    x = np.linspace(-103, -18, 200_001, dtype=np.float32)
    rows = np.stack([x, np.zeros_like(x)], axis=1)
    got = cpu.softmax_forward(rows, 1)[:, 0].astype(np.float64)
    exact = np.exp(x.astype(np.float64))
    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(got - exact) / unit) <= 2
