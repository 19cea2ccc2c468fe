"""Pooling kernels against torch: values, the positions of maxima, gradients; ties, NaN, padding, ceil_mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.kernels.cpu import pooling as cpu
from minidl.kernels.geometry import pool_output_size
from minidl.kernels.plain import pooling as plain

from .arrays import close, layouts, leaf, normal, tied

pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
windows = st.fixed_dictionaries(
    {
        "shape": st.tuples(
            st.sampled_from([0, 1, 2, 2]), st.sampled_from([1, 3, 17]), st.integers(1, 9), st.integers(1, 9)
        ),
        "kernel": pair,
        "stride": pair,
        "pad": st.tuples(st.booleans(), st.booleans()),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "ceil_mode": st.booleans(),
        "seed": st.integers(0, 99),
    }
)
quick = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def sizes(case: dict[str, Any], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding (half the window where asked) and output size; rejects cases where a window has no tap in the image."""
    padding, output = [], []
    for axis in range(2):
        size, kernel, stride = case["shape"][2 + axis], case["kernel"][axis], case["stride"][axis]
        p = kernel // 2 if case["pad"][axis] else 0
        count = pool_output_size(size, kernel, stride, p, dilation[axis], case["ceil_mode"])
        assume(count > 0)
        for w in range(count):
            assume(any(0 <= w * stride - p + i * dilation[axis] < size for i in range(kernel)))
        padding.append(p)
        output.append(count)
    return (padding[0], padding[1]), (output[0], output[1])


def flat_index(positions: Any, case: dict[str, Any], padding: tuple[int, int]) -> Any:
    """torch's index of a maximum, row * W + column, from its position in the window."""
    oh, ow = positions.shape[2:]
    tap = positions.astype(np.int64)
    row = np.arange(oh)[:, None] * case["stride"][0] - padding[0] + tap // case["kernel"][1] * case["dilation"][0]
    column = np.arange(ow) * case["stride"][1] - padding[1] + tap % case["kernel"][1] * case["dilation"][1]
    return row * case["shape"][3] + column


@given(case=windows, special=st.sampled_from([None, np.nan, -np.inf]))
@quick
def test_max_pool_equals_torch(case: dict[str, Any], special: float | None) -> None:
    padding, output = sizes(case, case["dilation"])
    x = tied(*case["shape"], seed=case["seed"])
    if special is not None:
        x[normal(*x.shape, seed=case["seed"] + 1) > 0.5] = special
    tensor = leaf(x)
    arguments = case["kernel"], case["stride"], padding, case["dilation"]
    expected, index = F.max_pool2d(tensor, *arguments, ceil_mode=case["ceil_mode"], return_indices=True)
    grad = normal(*expected.shape)
    expected.backward(torch.tensor(grad))
    for kernels in (plain, cpu):
        y, positions = kernels.max_pool2d_forward(x, *arguments, output)
        assert positions.dtype == np.uint8
        np.testing.assert_array_equal(y, expected.detach().numpy())
        np.testing.assert_array_equal(flat_index(positions, case, padding), index.numpy())
        np.testing.assert_array_equal(plain.max_pool2d_gather(x, positions, *arguments), y)
        close(kernels.max_pool2d_backward(grad, positions, x.shape, *arguments), tensor.grad)


@given(case=windows, count_include_pad=st.booleans(), divisor=st.sampled_from([None, 3]))
@quick
def test_avg_pool_equals_torch(case: dict[str, Any], count_include_pad: bool, divisor: int | None) -> None:
    padding, output = sizes(case, (1, 1))
    x = normal(*case["shape"], seed=case["seed"])
    tensor = leaf(x)
    window = case["kernel"], case["stride"], padding
    expected = F.avg_pool2d(tensor, *window, case["ceil_mode"], count_include_pad, divisor)
    grad = normal(*expected.shape)
    expected.backward(torch.tensor(grad))
    for kernels in (plain, cpu):
        close(kernels.avg_pool2d_forward(x, *window, output, count_include_pad, divisor), expected)
        close(kernels.avg_pool2d_backward(grad, x.shape, *window, count_include_pad, divisor), tensor.grad)


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (7, 9), (9, 4), (3, 5)])
def test_adaptive_avg_pool_equals_torch(kernels: Any, output: tuple[int, int]) -> None:
    x = normal(2, 3, 7, 10)
    tensor = leaf(x)
    expected = F.adaptive_avg_pool2d(tensor, output)
    grad = normal(*expected.shape)
    expected.backward(torch.tensor(grad))
    close(kernels.adaptive_avg_pool2d_forward(x, output), expected)
    close(kernels.adaptive_avg_pool2d_backward(grad, x.shape), tensor.grad)


@pytest.mark.parametrize("kernels", [plain, cpu])
def test_a_window_of_more_than_255_taps_needs_wide_positions(kernels: Any) -> None:
    x = np.zeros((1, 2, 16, 17))
    x[0, 0, 15, 16] = x[0, 1, 3, 4] = 1
    window = (16, 17), (1, 1), (0, 0), (1, 1)
    y, positions = kernels.max_pool2d_forward(x, *window, (1, 1))
    assert positions.dtype == np.int32
    assert positions.ravel().tolist() == [15 * 17 + 16, 3 * 17 + 4]
    dx = kernels.max_pool2d_backward(np.ones_like(y), positions, x.shape, *window)
    np.testing.assert_array_equal(dx, x)


def test_a_window_without_a_tap_in_the_image_gives_minus_infinity_and_no_gradient() -> None:
    """Dilation may step over a narrow image; torch 2.13 returns an index outside of it there."""
    x = np.ones((1, 1, 1, 4))
    window = (2, 1), (1, 1), (1, 0), (2, 1)  # taps in rows -1 and 1 of an image of one row
    for kernels in (plain, cpu):
        y, positions = kernels.max_pool2d_forward(x, *window, (1, 4))
        assert (y == -np.inf).all()
        assert not kernels.max_pool2d_backward(np.ones_like(y), positions, x.shape, *window).any()


@pytest.mark.parametrize("channels", [5, 16])
def test_layouts_and_float32_agree(channels: int) -> None:
    """Even and odd sizes, so that the loops for 2 x 2 windows are met with and without a row left over."""
    for height, width in ((6, 8), (7, 9)):
        x = tied(2, channels, height, width, dtype=np.float32)
        window = (2, 2), (2, 2), (0, 0)
        output = height // 2, width // 2
        grad = normal(2, channels, *output, dtype=np.float32)
        y, positions = plain.max_pool2d_forward(x, *window, (1, 1), output)
        dx = plain.max_pool2d_backward(grad, positions, x.shape, *window, (1, 1))
        mean = plain.avg_pool2d_forward(x, *window, output, True, None)
        spread = plain.avg_pool2d_backward(grad, x.shape, *window, True, None)
        for x_, grad_ in zip(layouts(x), layouts(grad)):
            got, where = cpu.max_pool2d_forward(x_, *window, (1, 1), output)
            np.testing.assert_array_equal(got, y)
            np.testing.assert_array_equal(where, positions)
            assert got.dtype == np.float32
            assert got.transpose(0, 2, 3, 1).flags.c_contiguous
            np.testing.assert_array_equal(cpu.max_pool2d_backward(grad_, where, x.shape, *window, (1, 1)), dx)
            np.testing.assert_array_equal(cpu.avg_pool2d_forward(x_, *window, output, True, None), mean)
            np.testing.assert_array_equal(cpu.avg_pool2d_backward(grad_, x.shape, *window, True, None), spread)
