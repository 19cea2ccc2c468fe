"""Copies between memory orders: the same values, the promised memory, and no copy where none is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.kernels.cpu import layout as cpu
from minidl.kernels.plain import layout as plain

from .arrays import layouts, normal


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 7), (3, 35, 17, 2), (0, 3, 4, 4), (2, 20, 30, 40), (130, 3, 9, 15), (2, 5, 3, 1), (2, 3, 1, 3)]
)
def test_both_orders(kernels: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape, dtype=dtype)
    for x_ in layouts(x):
        straight, last = kernels.contiguous(x_), kernels.to_channels_last(x_)
        np.testing.assert_array_equal(straight, x)
        np.testing.assert_array_equal(last, x)
        assert straight.flags.c_contiguous
        assert last.transpose(0, 2, 3, 1).flags.c_contiguous
        assert (straight is x_) == x_.flags.c_contiguous
        assert (last is x_) == x_.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("kernels", [plain, cpu])
def test_contiguous_takes_any_shape(kernels: Any) -> None:
    for x in (np.float32(3)[...], normal(4)[::-1], normal(3, 4).T, normal(2, 3, 4).swapaxes(0, 2)):
        y = kernels.contiguous(x)
        np.testing.assert_array_equal(y, x)
        assert y.flags.c_contiguous
        assert y.shape == x.shape
