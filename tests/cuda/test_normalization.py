"""Batch normalisation and channel sums on the emulated GPU: far means, odd sizes, several pieces, memory orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import agree, orders
from emulator import Emulator
from kernels.arrays import normal

from minidl.kernels.cuda import normalization as cuda
from minidl.kernels.cuda import reduction
from minidl.kernels.plain import gemm as plain_gemm
from minidl.kernels.plain import normalization as plain

TYPES = [np.float32, np.float64]
# The last ones have channels of 2 and of 40 pieces: more pieces than a warp has lanes.
SHAPES = [(5, 3), (4, 3, 7), (3, 2, 5, 7), (2, 37, 3, 3), (1, 1, 1, 1), (300, 5), (3, 2, 40, 40), (40, 1, 64, 64)]
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-12}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [0.5, 1000.0])
def test_training(emulator: Emulator, shape: tuple[int, ...], mean: float, dtype: Any) -> None:
    x = (normal(*shape) * 3 + mean).astype(dtype)
    weight, bias = normal(shape[1], seed=1, dtype=dtype), normal(shape[1], seed=2, dtype=dtype)
    if mean > 1:
        weight, bias = None, None
    # x itself is rounded to the spacing of its type at its mean: what the deviations inherit from it.
    tolerance = TOLERANCE[dtype] * (20 if mean > 1 else 1)
    y, center, _, inverse_std = agree(
        emulator, cuda.batch_norm_forward, plain.batch_norm_forward, x, weight, bias, 1e-3, tolerance=tolerance
    )
    assert y.swapaxes(0, 1).flags.c_contiguous
    grad = normal(*shape, seed=3, dtype=dtype)
    both = cuda.batch_norm_backward, plain.batch_norm_backward
    agree(emulator, *both, grad, x, weight, center, inverse_std, tolerance=tolerance)


def test_accuracy_far_from_zero(emulator: Emulator) -> None:
    """A mean a thousand times the spread: the variance keeps its digits, which the mean of squares would lose."""
    x = (normal(3, 2, 60, 60) + 1000).astype(np.float32)
    _, mean, variance, _ = cuda.batch_norm_forward(x, None, None, 1e-5)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=(0, 2, 3)), rtol=1e-7)


def test_every_memory_order(emulator: Emulator) -> None:
    for shape in [(3, 2, 5, 7), (6, 5), (2, 3, 4)]:
        x, grad = normal(*shape), normal(*shape, seed=3)
        weight, bias = normal(shape[1], seed=1), normal(shape[1], seed=2)
        for images, upstream in zip(orders(x), reversed(orders(grad))):
            both = cuda.batch_norm_forward, plain.batch_norm_forward
            _, mean, _, inverse_std = agree(emulator, *both, images, weight[::-1], bias[::-1], 1e-3)
            agree(
                emulator,
                cuda.batch_norm_backward,
                plain.batch_norm_backward,
                upstream,
                images,
                weight[::-1],
                mean,
                inverse_std,
            )
            agree(emulator, cuda.channel_affine, plain.channel_affine, images, weight[::-1], bias[::-1])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4, 4), (2, 3, 0, 4)])
def test_empty(emulator: Emulator, shape: tuple[int, ...], dtype: Any) -> None:
    x, vector = np.zeros(shape, dtype), np.ones(3, dtype)
    agree(emulator, cuda.batch_norm_forward, plain.batch_norm_forward, x, vector, vector, 1e-3)
    agree(emulator, cuda.batch_norm_backward, plain.batch_norm_backward, x, x, vector, vector, vector)
    agree(emulator, cuda.channel_affine, plain.channel_affine, x, vector, vector)
    agree(emulator, reduction.channel_sum, plain_gemm.channel_sum, x)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (33, 70), (8, 32), (1, 1)])
def test_channel_sums_and_affine(emulator: Emulator, shape: tuple[int, ...], dtype: Any) -> None:
    x, scale, shift = normal(*shape, dtype=dtype), normal(shape[1], seed=1), normal(shape[1], seed=2)
    agree(emulator, cuda.channel_affine, plain.channel_affine, x, scale.astype(dtype), shift.astype(dtype))
    for y in orders(x) if x.size < 1000 else [x]:
        agree(emulator, reduction.channel_sum, plain_gemm.channel_sum, y)
