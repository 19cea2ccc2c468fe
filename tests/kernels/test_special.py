"""The error function and GELU, in both dialects, against torch: around 0, at the seam of two formulas, far out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidl import kernels
from minidl.kernels.plain import special

from .arrays import close, layouts, leaf, normal


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 2e-15), (np.float32, 1.5e-7)])
@pytest.mark.parametrize("erf", [special.erf, kernels.erf], ids=["plain", "cpu"])
def test_erf(erf: Any, dtype: Any, tolerance: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [0.0, 1e-20, -1e-300, 2.0, -2.0, np.nextafter(2, 0)]]).astype(dtype)
    y = erf(x)
    assert y.dtype == dtype
    expected = torch.erf(torch.from_numpy(x)).numpy()
    scale = np.maximum(np.abs(expected), np.finfo(dtype).tiny)
    assert (np.abs(y - expected) / scale).max() <= tolerance


@pytest.mark.parametrize("erf", [special.erf, kernels.erf], ids=["plain", "cpu"])
def test_erf_at_the_ends_and_in_any_shape(erf: Any) -> None:
    np.testing.assert_array_equal(erf(np.array([np.inf, -np.inf, np.nan])), [1, -1, np.nan])
    assert erf(np.array(0.5)).shape == ()
    assert erf(np.zeros((0, 3))).shape == (0, 3)
    x = np.linspace(-3, 3, 60).reshape(5, 12)[:, ::3]
    np.testing.assert_allclose(erf(x), erf(x.copy()), rtol=1e-15)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 5e-7)])
@pytest.mark.parametrize("table", [special, kernels], ids=["plain", "cpu"])
def test_gelu_and_its_gradient(table: Any, dtype: Any, tolerance: float) -> None:
    for shape in ((3, 5, 4, 7), (4, 33), (0, 3), (), (3, 11, 1, 600)):  # the last one in two pieces
        x = np.asarray(3 * normal(*shape), dtype=dtype)
        grad = np.asarray(normal(*shape, seed=1), dtype=dtype)
        tensor = leaf(x.astype(np.float64))
        expected = F.gelu(tensor)
        expected.backward(torch.tensor(grad.astype(np.float64)))
        for x_, grad_ in zip(layouts(x), layouts(grad)) if x.ndim > 1 else [(x, grad)]:
            y, dx = table.gelu_forward(x_), table.gelu_backward(grad_, x_)
            assert y.dtype == dx.dtype == dtype
            close(y, expected, tolerance)
            close(dx, tensor.grad, tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [special, kernels], ids=["plain", "cpu"])
def test_gelu_at_the_ends(table: Any, dtype: Any) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 40, -40, 0], dtype)
    with np.errstate(invalid="ignore"):  # -inf times 0
        np.testing.assert_array_equal(table.gelu_forward(x), [np.inf, np.nan, np.nan, 40, 0, 0])
        np.testing.assert_array_equal(table.gelu_backward(np.ones_like(x), x)[3:], [1, 0, 0.5])


def test_gelu_keeps_its_digits_far_below_zero() -> None:
    x = np.linspace(-13, 13, 100_001)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-13)):
        y = kernels.gelu_forward(x.astype(dtype))
        expected = np.array([v * 0.5 * math.erfc(-v * math.sqrt(0.5)) for v in x.astype(dtype).tolist()])
        kept = np.abs(expected) > np.finfo(np.float32).tiny
        np.testing.assert_allclose(y[kept], expected[kept], rtol=tolerance)
