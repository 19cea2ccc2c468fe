"""Fused kernels of captured steps: the cpu form against the plain one, which is a composition of tested kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.kernels.cpu import blas
from minidl.kernels.cpu import fused as cpu
from minidl.kernels.geometry import pool_output_size
from minidl.kernels.plain import fused as plain

pytestmark = pytest.mark.skipif(not blas.AVAILABLE, reason="no OpenBLAS to call from Numba")

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 999)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, nhwc: bool = True) -> np.ndarray:
    """Numbers about 1 with a few zeros; channels-last memory, or that of C."""
    x = rng.standard_normal(shape).astype(dtype)
    x[rng.random(shape) < 0.05] = 0
    if nhwc and x.ndim == 4:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


def assert_close(got: Any, expected: Any, terms: int = 1) -> None:
    """Equal but for the rounding of sums of ``terms`` numbers."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if got.size:
        scale = max(float(np.abs(expected).max()), 1.0)
        bound = 8 * np.finfo(got.dtype).eps * max(terms, 1) ** 0.5 * scale
        assert np.abs(got - expected).max() <= bound


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    N=st.integers(0, 4), C=st.integers(1, 20), H=st.integers(2, 9), W=st.integers(2, 9), dtype=dtypes,
    kernel=st.sampled_from([(2, 2), (3, 3), (3, 2)]), step=st.sampled_from([(2, 2), (1, 1), (3, 2)]),
    nhwc=st.booleans(), seed=seeds,
)  # fmt: skip
def test_max_pool2d_relu(N, C, H, W, dtype, kernel, step, nhwc, seed) -> None:
    rng = np.random.default_rng(seed)
    padding = (kernel[0] // 2 if kernel[0] > H else 0, kernel[1] // 2 if kernel[1] > W else 0)
    size = tuple((s + 2 * p - k) // t + 1 for s, p, k, t in zip((H, W), padding, kernel, step))
    x = values(rng, (N, C, H, W), dtype, nhwc)
    if x.size:
        x.flat[0] = np.nan
    window = kernel, step, padding, (1, 1)
    expected, where = plain.max_pool2d_relu_forward(x, *window, size)
    y, positions = cpu.max_pool2d_relu_forward(x, *window, size)
    assert np.array_equal(y, expected, equal_nan=True)
    assert np.array_equal(positions, where)
    grad = values(rng, y.shape, dtype, nhwc)
    got = cpu.max_pool2d_relu_backward(grad, positions, x.shape, *window)
    for g, e in zip(got, plain.max_pool2d_relu_backward(grad, where, x.shape, *window)):
        assert_close(g, e, grad.size)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.one_of(
        st.tuples(st.integers(0, 40), st.integers(1, 200)),
        st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30)),
    ),
    dtype=dtypes, nhwc=st.booleans(), seed=seeds,
)  # fmt: skip
def test_relu_backward_sum(shape, dtype, nhwc, seed) -> None:
    rng = np.random.default_rng(seed)
    grad, y = values(rng, shape, dtype, nhwc), np.maximum(values(rng, shape, dtype), 0)
    dx, total = cpu.relu_backward_sum(grad, y)
    expected, sums = plain.relu_backward_sum(grad, y)
    assert np.array_equal(dx, expected)
    assert_close(total, sums, grad.size)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    N=st.integers(2, 20), C=st.integers(1, 40) | st.sampled_from([256, 511, 512, 513, 1100]), h=st.integers(1, 9),
    w=st.integers(1, 9), pool=st.sampled_from([1, 2]), flat=st.booleans(), affine=st.booleans(), dtype=dtypes,
    slope=st.sampled_from([None, 0.1, -2.0]), nhwc=st.booleans(), seed=seeds,
)  # fmt: skip
def test_batch_norm_relu(N, C, h, w, pool, flat, affine, dtype, slope, nhwc, seed) -> None:
    rng = np.random.default_rng(seed)
    flat = flat and pool == 1
    x = values(rng, (N, C) if flat else (N, C, h * pool, w * pool), dtype, nhwc) * 3 + 1
    weight, bias = (values(rng, (C,), dtype) for _ in range(2)) if affine else (None, None)
    got = cpu.batch_norm_relu_forward(x, weight, bias, 1e-5, pool, slope)
    expected = plain.batch_norm_relu_forward(x, weight, bias, 1e-5, pool, slope)
    assume(expected[3].max() < 3)  # a channel that hardly varies multiplies rounding errors
    for g, e in zip(got, expected):
        assert_close(g, e, 16 * x.size // C)
    # Elements next to ReLU's kink may fall to either side: no gradient there.
    grad = values(rng, expected[0].shape, dtype, nhwc)
    centred = x - expected[1].reshape(1, C, *[1] * (x.ndim - 2))
    y = centred * expected[3].reshape(centred.shape[1:2] + (1,) * (x.ndim - 2))
    if affine:
        y = y * weight.reshape(-1, *[1] * (x.ndim - 2)) + bias.reshape(-1, *[1] * (x.ndim - 2))
    near = np.abs(y) < 1e-4
    if pool == 2:
        near = near.reshape(N, C, h, 2, w, 2).any(axis=(3, 5))  # (N, C, H, W) -> (N, C, h, 2, w, 2)
    grad[near] = 0
    _, mean, _, inverse_std = expected
    arguments = grad, x, weight, bias, mean, inverse_std, pool, slope
    terms = x.size // C
    for g, e in zip(cpu.batch_norm_relu_backward(*arguments), plain.batch_norm_relu_backward(*arguments)):
        assert_close(g, e, 16 * terms)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(N=st.integers(1, 40), K=st.integers(1, 70), O=st.integers(1, 40), bias=st.booleans(), dtype=dtypes, seed=seeds)
def test_linear_relu(N, K, O, bias, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    x, weight, start = values(rng, (N, K), dtype), values(rng, (O, K), dtype), values(rng, (O,), dtype)
    arguments = x, weight, start if bias else None
    assert_close(cpu.linear_relu_forward(*arguments), plain.linear_relu_forward(*arguments), K)


@pytest.mark.parametrize("channels", [3, 16])
def test_conv2d_relu(channels: int) -> None:
    rng = np.random.default_rng(0)
    x, weight = values(rng, (5, channels, 9, 8), np.float32), values(rng, (17, channels, 3, 3), np.float32)
    arguments = x, weight, values(rng, (17,), np.float32), (1, 1), (1, 1), (1, 1), 1
    assert_close(cpu.conv2d_relu_forward(*arguments), plain.conv2d_relu_forward(*arguments), 9 * channels)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    N=st.integers(0, 7), C=st.integers(1, 5), O=st.integers(3, 9), H=st.integers(5, 12), W=st.integers(5, 40),
    window=st.sampled_from([((2, 2), (2, 2)), ((3, 3), (2, 2))]), overhang=st.booleans(), bias=st.booleans(),
    dtype=dtypes, seed=seeds,
)  # fmt: skip
def test_conv2d_pool_relu(N, C, O, H, W, window, overhang, bias, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    x, weight = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((N, C, H, W), (O, C, 3, 2)))  # many ties
    if N:
        x[0, 0, 1, 1] = np.nan
    start = rng.integers(-2, 3, O).astype(dtype) if bias else None
    kernel, step = window
    size = tuple(pool_output_size(s, k, t, 0, 1, overhang) for s, k, t in zip((H, W - 1), kernel, step))
    named = {"kernel_size": kernel, "stride": step, "padding": (0, 0), "dilation": (1, 1), "output_size": size}
    arguments = x, weight, start, (1, 1), (1, 0), (1, 1), 1, named
    got, expected = cpu.conv2d_pool_relu_forward(*arguments), plain.conv2d_pool_relu_forward(*arguments)
    for g, e in zip(got, expected):
        assert g.dtype == e.dtype
        assert np.array_equal(g, e, equal_nan=True)
