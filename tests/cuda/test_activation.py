"""Activations on the emulated GPU against the plain dialect: NaN, infinities, memory orders, empty arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import agree, orders
from emulator import Emulator
from kernels.arrays import normal

from minidl.backend.layout import memory_order
from minidl.kernels.cuda import activation as cuda
from minidl.kernels.cuda import special
from minidl.kernels.plain import activation as plain
from minidl.kernels.plain import special as plain_special

TYPES = [np.float32, np.float64]
SHAPES: list[tuple[int, ...]] = [(3, 5, 4, 7), (6, 300), (7,), (), (0, 3, 2, 2)]


def values(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    """Normal values, ties with zero, and among many ones NaN and infinities."""
    x = np.asarray(3 * normal(*shape, seed=seed, dtype=dtype), dtype)
    x[np.abs(x) < 0.5] = 0
    if x.size > 100:
        x.flat[[3, 50, 90]] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_elementwise(emulator: Emulator, name: str, dtype: Any) -> None:
    slope = (0.3,) if name == "leaky_relu" else ()
    forward, backward = f"{name}_forward", f"{name}_backward"
    for shape in SHAPES:
        for x in orders(values(shape, dtype)) if len(shape) == 4 else [values(shape, dtype)]:
            agree(emulator, getattr(cuda, forward), getattr(plain, forward), x, *slope)
        x, grad = values(shape, dtype), normal(*shape, seed=1, dtype=dtype)
        saved = x if name == "leaky_relu" else getattr(plain, forward)(x)
        agree(emulator, getattr(cuda, backward), getattr(plain, backward), grad, saved, *slope)


def test_gradients_meet_in_the_order_of_what_was_saved(emulator: Emulator) -> None:
    grad, y = values((3, 5, 4, 7), np.float32), values((3, 5, 4, 7), np.float32, seed=1)
    for saved in orders(y):
        for upstream in orders(grad):
            dx = agree(emulator, cuda.relu_backward, plain.relu_backward, upstream, saved)
            assert memory_order(dx) == (memory_order(saved) or (0, 1, 2, 3))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["softmax_forward", "log_softmax_forward"])
def test_softmax_along_every_axis(emulator: Emulator, name: str, dtype: Any) -> None:
    tolerance = 4e-6 if dtype == np.float32 else 1e-13
    for shape in [(3, 5, 4, 7), (6, 33), (5, 100), (1, 1), (0, 4), (4, 0)]:
        for dim in range(-len(shape), len(shape)):
            x = 30 * normal(*shape, dtype=dtype)
            if x.size > 400:
                x.flat[[7, 300]] = np.nan, -np.inf
            agree(emulator, getattr(cuda, name), getattr(plain, name), x, dim, tolerance=tolerance)
    for x in orders(normal(2, 3, 4, 5, dtype=dtype)):
        agree(emulator, getattr(cuda, name), getattr(plain, name), x, 1)


@pytest.mark.parametrize("dtype", TYPES)
def test_error_function(emulator: Emulator, dtype: Any) -> None:
    for shape in SHAPES:
        agree(emulator, special.erf, plain_special.erf, values(shape, dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_gelu(emulator: Emulator, dtype: Any) -> None:
    for shape in SHAPES:
        x = values(shape, dtype)
        agree(emulator, special.gelu_forward, plain_special.gelu_forward, x)
        agree(emulator, special.gelu_backward, plain_special.gelu_backward, values(shape, dtype), x)
