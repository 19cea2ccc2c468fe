"""Copies between memory orders on the emulated GPU: exact, all sizes of tile edges, nothing copied that lies right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import both_orders, orders
from emulator import Emulator
from kernels.arrays import normal

from minidl.kernels.cuda import layout

SHAPES = [(2, 3, 5, 7), (33, 65), (32, 32), (1, 7), (5, 1, 3, 3), (4, 6, 1, 1), (3, 4, 9), (0, 3, 2, 2), (3, 0, 2, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_every_order_to_both(emulator: Emulator, dtype: Any) -> None:
    for shape in SHAPES:
        values = normal(*shape).astype(dtype)
        for x in orders(values):
            y = both_orders(emulator, lambda x=x: layout.contiguous(x))
            np.testing.assert_array_equal(y, values)
            assert y.flags.c_contiguous
            y = both_orders(emulator, lambda x=x: layout.to_channels_outermost(x))
            np.testing.assert_array_equal(y, values)
            assert y.swapaxes(0, 1).flags.c_contiguous


def test_what_lies_right_is_not_copied(emulator: Emulator) -> None:
    x = normal(2, 3, 5, 7)
    outermost = layout.to_channels_outermost(x)
    assert layout.contiguous(x) is x
    assert layout.to_channels_outermost(outermost) is outermost
    assert layout.dense(outermost) is outermost
    assert emulator.launches == ["exchange"]


def test_the_usual_copies_are_kernels_of_our_own(emulator: Emulator) -> None:
    x = normal(2, 3, 5, 7)
    layout.to_channels_outermost(x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))  # a batch from the CPU
    layout.contiguous(layout.to_channels_outermost(x))  # flatten, after a convolution
    layout.to_channels_outermost(x[:, :, 0, 0].copy())
    assert emulator.launches == ["transpose", "exchange", "exchange", "transpose"]


def test_one_array_in_the_order_of_another(emulator: Emulator) -> None:
    x, other = normal(2, 3, 5, 7), normal(2, 3, 5, 7, seed=1)
    for like in (x, x.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3), np.asfortranarray(x)):
        for y in orders(other):
            found = layout.in_order_of(like, y)
            np.testing.assert_array_equal(found, other)
            assert found.strides == like.strides
