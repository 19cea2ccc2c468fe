"""Batch-normalisation kernels against torch; far means, few channels, odd sizes, layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidl.kernels.cpu import normalization as cpu
from minidl.kernels.plain import normalization as plain

from .arrays import close, layouts, leaf, normal

SHAPES = [(5, 3), (4, 3, 7), (3, 2, 5, 7), (4, 6, 8, 8), (2, 70, 3, 3), (300, 65)]


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_training_equals_torch(kernels: Any, shape: tuple[int, ...], affine: bool) -> None:
    x = normal(*shape) * 3 + 1
    channels = shape[1]
    weight, bias = (normal(channels, seed=1), normal(channels, seed=2)) if affine else (None, None)
    tensor = leaf(x)
    scale, shift = (leaf(weight), leaf(bias)) if affine else (leaf(np.ones(channels)), leaf(np.zeros(channels)))
    running_mean, running_var = torch.zeros(channels).double(), torch.zeros(channels).double()
    expected = F.batch_norm(tensor, running_mean, running_var, scale, shift, True, 1.0, 1e-3)
    grad = normal(*shape, seed=3)
    expected.backward(torch.tensor(grad))

    y, mean, variance, inverse_std = kernels.batch_norm_forward(x, weight, bias, 1e-3)
    close(y, expected)
    close(mean, running_mean)
    count = x.size // channels
    close(variance * count / (count - 1), running_var)
    close(inverse_std, 1 / np.sqrt(variance + 1e-3))
    dx, dweight, dbias = kernels.batch_norm_backward(grad, x, weight, mean, inverse_std)
    close(dx, tensor.grad)
    close(dweight, scale.grad)
    close(dbias, shift.grad)


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("shape", SHAPES)
def test_inference_equals_torch(kernels: Any, shape: tuple[int, ...]) -> None:
    x, scale, shift = normal(*shape), normal(shape[1], seed=1), normal(shape[1], seed=2)
    zero, one = torch.zeros(shape[1]).double(), torch.ones(shape[1]).double()
    expected = F.batch_norm(torch.tensor(x), zero, one, torch.tensor(scale), torch.tensor(shift), eps=0.0)
    close(kernels.channel_affine(x, scale, shift), expected)


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
def test_float32_statistics_are_accurate(mean: float) -> None:
    """40,000 values with a mean far from zero, for which a naive sum of squares has no right digit left."""
    x = (normal(40, 6, 25, 40) + mean).astype(np.float32)
    exact = x.astype(np.float64)
    y, got_mean, got_variance, inverse_std = cpu.batch_norm_forward(x, None, None, 1e-5)
    close(got_mean, exact.mean(axis=(0, 2, 3)).astype(np.float32), 1e-7)
    close(got_variance, exact.var(axis=(0, 2, 3)).astype(np.float32), 1e-6)
    wanted, exact_mean, _, exact_inverse = plain.batch_norm_forward(exact, None, None, 1e-5)
    rounding = 1e-6 + 1e-7 * mean  # x - mean, with the mean rounded to float32
    close(y, wanted.astype(np.float32), rounding)
    grad = normal(*x.shape, seed=1, dtype=np.float32)
    got = cpu.batch_norm_backward(grad, x, None, got_mean, inverse_std)
    expected = plain.batch_norm_backward(grad.astype(np.float64), exact, None, exact_mean, exact_inverse)
    for a, b in zip(got, expected):
        assert a.dtype == np.float32
        close(a, b.astype(np.float32), 4 * rounding)


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (3, 5, 4), (6, 5)])
def test_layouts_agree(shape: tuple[int, ...]) -> None:
    x, grad, weight = normal(*shape), normal(*shape, seed=1), normal(5, seed=2)
    y, _, _, _ = plain.batch_norm_forward(x, weight, weight, 1e-5)
    for x_, grad_ in zip(layouts(x), layouts(grad)):
        got, mean, _, inverse_std = cpu.batch_norm_forward(x_, weight, weight, 1e-5)
        close(got, y)
        expected = plain.batch_norm_backward(grad, x, weight, mean, inverse_std)
        for a, b in zip(cpu.batch_norm_backward(grad_, x_, weight, mean, inverse_std), expected):
            close(a, b)
        close(cpu.channel_affine(x_, weight, mean), plain.channel_affine(x, weight, mean))


@pytest.mark.parametrize("kernels", [plain, cpu])
def test_an_empty_batch_passes(kernels: Any) -> None:
    x = np.empty((0, 3, 4, 4))
    y, mean, variance, inverse_std = kernels.batch_norm_forward(x, None, None, 1e-5)
    assert y.shape == x.shape
    assert mean.tolist() == variance.tolist() == [0, 0, 0]
    dx, dweight, dbias = kernels.batch_norm_backward(x, x, None, mean, inverse_std)
    assert dx.shape == x.shape
    assert dweight.tolist() == dbias.tolist() == [0, 0, 0]
    assert kernels.channel_affine(x, mean, mean).shape == x.shape
