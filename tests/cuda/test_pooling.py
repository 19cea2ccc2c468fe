"""Pooling on the emulated GPU against the plain dialect: positions too, ties, NaN, all kinds of windows, ceil_mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import agree, orders
from emulator import Emulator
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernels.arrays import normal, tied

from minidl.kernels.cuda import pooling as cuda
from minidl.kernels.geometry import pool_output_size
from minidl.kernels.plain import pooling as plain

pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
windows = st.fixed_dictionaries(
    {
        "shape": st.tuples(st.sampled_from([0, 1, 2, 2]), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
        "kernel": pair,
        "stride": pair,
        "pad": st.tuples(st.booleans(), st.booleans()),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "ceil_mode": st.booleans(),
        "dtype": st.sampled_from([np.float32, np.float64]),
    }
)
quick = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one emulator serves all examples
)


def sizes(case: dict[str, Any], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding (half the window where asked) and output size."""
    padding = tuple(k // 2 if pad else 0 for k, pad in zip(case["kernel"], case["pad"]))
    axes = zip(case["shape"][2:], case["kernel"], case["stride"], padding, dilation)
    output = tuple(pool_output_size(*axis, case["ceil_mode"]) for axis in axes)
    assume(min(output) > 0)
    return padding, output  # type: ignore[return-value]


@given(case=windows, special=st.sampled_from([None, np.nan, -np.inf]))
@quick
def test_max_pooling(emulator: Emulator, case: dict[str, Any], special: float | None) -> None:
    padding, output = sizes(case, case["dilation"])
    x = tied(*case["shape"], dtype=case["dtype"])
    if special is not None:
        x[normal(*x.shape, seed=1) > 0.5] = special
    window = case["kernel"], case["stride"], padding, case["dilation"]
    y, positions = agree(emulator, cuda.max_pool2d_forward, plain.max_pool2d_forward, x, *window, output)
    assert positions.dtype == np.uint8
    assert y.swapaxes(0, 1).flags.c_contiguous
    grad = normal(*y.shape, seed=2, dtype=x.dtype)
    both = cuda.max_pool2d_backward, plain.max_pool2d_backward
    agree(emulator, *both, grad, positions, x.shape, *window)
    agree(emulator, cuda.max_pool2d_gather, plain.max_pool2d_gather, x, positions, *window)


@given(case=windows, count_include_pad=st.booleans(), divisor=st.sampled_from([None, 3, -2]))
@quick
def test_average_pooling(
    emulator: Emulator, case: dict[str, Any], count_include_pad: bool, divisor: int | None
) -> None:
    padding, output = sizes(case, (1, 1))
    x = normal(*case["shape"], dtype=case["dtype"])
    window = case["kernel"], case["stride"], padding
    counting = count_include_pad, divisor
    y = agree(emulator, cuda.avg_pool2d_forward, plain.avg_pool2d_forward, x, *window, output, *counting)
    grad = normal(*y.shape, seed=2, dtype=x.dtype)
    both = cuda.avg_pool2d_backward, plain.avg_pool2d_backward
    agree(emulator, *both, grad, x.shape, *window, *counting)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 7, 10), (0, 2, 4, 4), (3, 2, 1, 1), (2, 33, 16, 16)])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (7, 9), (9, 4), (3, 5)])
def test_adaptive(emulator: Emulator, shape: tuple[int, ...], output: tuple[int, int], dtype: Any) -> None:
    x, grad = normal(*shape, dtype=dtype), normal(*shape[:2], *output, seed=1, dtype=dtype)
    agree(emulator, cuda.adaptive_avg_pool2d_forward, plain.adaptive_avg_pool2d_forward, x, output)
    agree(emulator, cuda.adaptive_avg_pool2d_backward, plain.adaptive_avg_pool2d_backward, grad, shape)


def test_a_window_of_more_than_255_taps_needs_wide_positions(emulator: Emulator) -> None:
    x = tied(2, 3, 20, 18)
    window = (16, 17), (3, 1), (4, 0), (1, 1)
    y, positions = agree(emulator, cuda.max_pool2d_forward, plain.max_pool2d_forward, x, *window, (5, 2))
    assert positions.dtype == np.int32
    agree(emulator, cuda.max_pool2d_backward, plain.max_pool2d_backward, normal(*y.shape), positions, x.shape, *window)
    agree(emulator, cuda.max_pool2d_gather, plain.max_pool2d_gather, x, positions, *window)


def test_every_memory_order(emulator: Emulator) -> None:
    x, window = tied(2, 3, 6, 8), ((3, 2), (2, 2), (1, 1), (1, 1))
    y, positions = plain.max_pool2d_forward(x, *window, (3, 5))
    grad = normal(*y.shape)
    for images, upstream, where in zip(orders(x), orders(grad), orders(positions)):
        agree(emulator, cuda.max_pool2d_forward, plain.max_pool2d_forward, images, *window, (3, 5))
        both = cuda.max_pool2d_backward, plain.max_pool2d_backward
        agree(emulator, *both, upstream, where, x.shape, *window)
        agree(emulator, cuda.max_pool2d_gather, plain.max_pool2d_gather, images, where, *window)
        averages = (3, 2), (2, 2), (1, 1), (3, 5), False, None
        agree(emulator, cuda.avg_pool2d_forward, plain.avg_pool2d_forward, images, *averages)
        agree(emulator, cuda.adaptive_avg_pool2d_forward, plain.adaptive_avg_pool2d_forward, images, (2, 5))
        agree(emulator, cuda.adaptive_avg_pool2d_backward, plain.adaptive_avg_pool2d_backward, upstream, x.shape)
