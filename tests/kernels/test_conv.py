"""Convolution: the plain kernels against torch in float64, the CPU kernels against the plain ones."""

from __future__ import annotations

import ctypes
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.kernels.cpu import blas, conv_winograd, conv_winograd_filters, microkernel
from minidl.kernels.cpu import conv as cpu
from minidl.kernels.geometry import conv_output_size
from minidl.kernels.plain import conv as plain

Pair = tuple[int, int]
needs_blas = pytest.mark.skipif(not blas.AVAILABLE, reason="no OpenBLAS to call from Numba")


class Case(NamedTuple):
    """One convolution; `channels` and `filters` are per group."""

    batch: int
    channels: int
    filters: int
    groups: int
    kernel: Pair
    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def arguments(self) -> tuple[Pair, Pair, Pair, int]:
        return self.stride, self.padding, self.dilation, self.groups

    def arrays(self, dtype: Any, layout: str = "rows") -> tuple[np.ndarray, ...]:
        """x (N, C, H, W), weight, bias, and a random output gradient, in one of three memory layouts."""
        rng = np.random.default_rng(0)
        C, O = self.channels * self.groups, self.filters * self.groups
        output = [
            conv_output_size(*axis) for axis in zip(self.size, self.kernel, self.stride, self.padding, self.dilation)
        ]
        x = lay_out(rng.standard_normal((self.batch, C, *self.size)).astype(dtype), layout)
        weight = lay_out(rng.standard_normal((O, self.channels, *self.kernel)).astype(dtype), layout)
        grad = lay_out(rng.standard_normal((self.batch, O, *output)).astype(dtype), layout)
        return x, weight, rng.standard_normal(O).astype(dtype), grad


def lay_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same values, stored as (N, C, H, W), as (N, H, W, C), or in every second place of a larger array."""
    if layout == "channels last":
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "strided":
        return np.repeat(x, 2, axis=3)[..., ::2]
    return x


# By name what random shapes seldom meet. The channels lie on both sides of the CPU kernels' choice of algorithm.
EDGES = {
    "one pixel": Case(2, 17, 3, 1, (1, 1), (1, 1)),
    "1x1": Case(3, 18, 5, 1, (1, 1), (7, 6)),
    "1x1 groups": Case(2, 16, 4, 3, (1, 1), (5, 9)),
    "1x1 stride": Case(2, 16, 4, 1, (1, 1), (7, 6), stride=(2, 3)),
    "kernel fills input": Case(2, 3, 4, 1, (5, 3), (3, 3), padding=(1, 0)),
    "kernel fills input, many channels": Case(2, 16, 4, 1, (5, 3), (3, 3), padding=(1, 0)),
    "padding beyond the kernel": Case(2, 16, 4, 1, (2, 2), (4, 5), padding=(4, 3)),
    "padding beyond the kernel, planes": Case(2, 2, 4, 1, (2, 2), (4, 5), padding=(4, 3)),
    "columns no window reaches": Case(2, 16, 4, 1, (2, 2), (8, 9), stride=(3, 4)),
    "depthwise": Case(2, 1, 1, 6, (3, 3), (8, 7), padding=(1, 1)),
    "dilated groups": Case(2, 17, 3, 2, (3, 2), (9, 8), padding=(2, 1), dilation=(2, 3)),
    "empty batch": Case(0, 3, 4, 1, (3, 3), (6, 5), padding=(1, 1)),
    "empty batch, many channels": Case(0, 16, 4, 1, (3, 3), (6, 5), stride=(2, 2)),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random convolutions of every kind, with at least one output pixel."""

    def pair(low: int, high: int) -> Pair:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 3), (2, 4)]))
    padding, dilation = pair(0, 3), pair(1, 3)
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 9)) for k, p, d in zip(kernel, padding, dilation)
    )
    return Case(
        batch=draw(st.sampled_from([1, 2, 5])),
        channels=draw(st.sampled_from([1, 3, 6, 16, 19])),
        filters=draw(st.sampled_from([1, 4, 7, 20, 41])),
        groups=draw(st.sampled_from([1, 1, 2, 3])),
        kernel=kernel,
        size=(size[0], size[1]),
        stride=pair(1, 3),
        padding=padding,
        dilation=dilation,
    )


def assert_close(got: np.ndarray, expected: np.ndarray, bound: float) -> None:
    """Equal shapes and types, and every element within `bound` of the largest one's size."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if expected.size:
        scale = max(float(np.abs(expected).max()), 1.0)
        assert float(np.abs(got - expected).max()) <= bound * scale


def check_plain(case: Case, layout: str) -> None:
    x, weight, bias, grad = case.arrays(np.float64, layout)
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, weight, bias)]
    y = torch.nn.functional.conv2d(*tensors, *case.arguments)
    dx, dweight, _ = torch.autograd.grad(y, tensors, torch.from_numpy(grad.copy()))
    assert_close(plain.conv2d_forward(x, weight, bias, *case.arguments), y.detach().numpy(), 1e-12)
    assert_close(plain.conv2d_input_gradient(grad, weight, x.shape, *case.arguments), dx.numpy(), 1e-12)
    assert_close(plain.conv2d_weight_gradient(grad, x, weight.shape, *case.arguments), dweight.numpy(), 1e-12)


def check_cpu(case: Case, layout: str) -> None:
    for dtype in (np.float64, np.float32):
        x, weight, bias, grad = case.arrays(dtype, layout)
        before = [a.copy() for a in (x, weight, bias, grad)]
        wide = [a.astype(np.float64) for a in before]
        taps = weight[0].size
        pixels = grad.size // max(grad.shape[1], 1)
        for name, arguments, length in (
            ("conv2d_forward", (0, 1, 2), taps),
            ("conv2d_forward", (0, 1, None), taps),
            ("conv2d_input_gradient", (3, 1, x.shape), taps * case.filters // case.channels),
            ("conv2d_weight_gradient", (3, 0, weight.shape), pixels),
        ):
            arrays = (x, weight, bias, grad)
            narrow_call = [arrays[a] if isinstance(a, int) else a for a in arguments]
            wide_call = [wide[a] if isinstance(a, int) else a for a in arguments]
            got = getattr(cpu, name)(*narrow_call, *case.arguments)
            expected = getattr(plain, name)(*wide_call, *case.arguments).astype(dtype)
            # rounding errors of a sum grow like the square root of its length
            bound = 1e-12 if dtype == np.float64 else 4 * np.finfo(dtype).eps * max(length, 1) ** 0.5
            assert_close(got, expected, bound)
        for array, copy in zip((x, weight, bias, grad), before):
            assert np.array_equal(array, copy)


@pytest.mark.parametrize("case", EDGES.values(), ids=EDGES.keys())
def test_plain_edges(case: Case) -> None:
    check_plain(case, "rows")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=cases(), layout=st.sampled_from(["rows", "channels last", "strided"]))
def test_plain_random(case: Case, layout: str) -> None:
    check_plain(case, layout)


def test_im2col_and_col2im_are_adjoint() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 7, 6))
    columns = plain.im2col(x, (3, 2), (2, 1), (1, 2), (1, 2))
    other = rng.standard_normal(columns.shape)
    back = plain.col2im(other, x.shape, (2, 1), (1, 2), (1, 2))
    assert np.isclose((columns * other).sum(), (x * back).sum(), rtol=1e-13)


@needs_blas
@pytest.mark.parametrize("case", EDGES.values(), ids=EDGES.keys())
def test_cpu_edges(case: Case) -> None:
    check_cpu(case, "rows")


@needs_blas
@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases(), layout=st.sampled_from(["rows", "channels last", "strided"]))
def test_cpu_random(case: Case, layout: str) -> None:
    check_cpu(case, layout)


# Large enough for many tiles, chunks and split products; images and tiles do not divide one another.
LARGE = {
    "pixels": Case(5, 32, 24, 1, (3, 3), (29, 23), padding=(1, 1)),
    "pixels strided": Case(7, 32, 24, 1, (3, 3), (29, 23), stride=(2, 2), padding=(1, 1)),
    "pixels 1x1": Case(5, 48, 40, 1, (1, 1), (29, 23)),
    "planes": Case(5, 3, 20, 1, (5, 5), (33, 29), padding=(2, 2)),
    "long products": Case(3, 64, 250, 1, (5, 5), (9, 8), padding=(2, 2)),
    "small images share a band": Case(40, 9, 36, 1, (3, 3), (5, 4), padding=(1, 1)),
    "scattered": Case(9, 6, 16, 1, (5, 4), (17, 14), padding=(2, 1), dilation=(1, 2)),
    "scattered, no padding": Case(9, 6, 40, 1, (3, 7), (31, 14)),
    "turned": Case(9, 3, 6, 1, (5, 5), (33, 29)),
    "groups, dilated": Case(5, 9, 12, 3, (3, 3), (17, 16), padding=(2, 3), dilation=(2, 2)),
    "cropped": Case(3, 16, 20, 1, (2, 2), (14, 15), padding=(3, 3)),
}


@needs_blas
@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE.keys())
def test_cpu_large(case: Case) -> None:
    check_cpu(case, "channels last")


def all_three(case: Case) -> list[bytes]:
    x, weight, bias, grad = case.arrays(np.float32, "channels last")
    return [
        cpu.conv2d_forward(x, weight, bias, *case.arguments).tobytes(),
        cpu.conv2d_input_gradient(grad, weight, x.shape, *case.arguments).tobytes(),
        cpu.conv2d_weight_gradient(grad, x, weight.shape, *case.arguments).tobytes(),
    ]


@needs_blas
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core: there is no second thread")
@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE.keys())
def test_bits_do_not_depend_on_threads(case: Case) -> None:
    threads = numba.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            numba.set_num_threads(count)
            results.append(all_three(case))
    finally:
        numba.set_num_threads(threads)
    assert results[0] == results[1]


@needs_blas
def test_two_python_threads_at_once() -> None:
    case = LARGE["pixels"]
    expected = all_three(case)
    with ThreadPoolExecutor(2) as pool:
        for got in pool.map(lambda _: all_three(case), range(6)):
            assert got == expected


@needs_blas
def test_results_lie_channels_last() -> None:
    case = LARGE["planes"]
    x, weight, bias, grad = case.arrays(np.float32)
    for result in (
        cpu.conv2d_forward(x, weight, bias, *case.arguments),
        cpu.conv2d_input_gradient(grad, weight, x.shape, *case.arguments),
    ):
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous


needs_tiles = pytest.mark.skipif(not microkernel.AVAILABLE, reason="no AVX2")
TILES = [(8, 5, 1), (8, 6, 2), (8, 1, 1)] + ([(16, 14, 2), (16, 3, 1)] if microkernel.LANES == 16 else [])


@needs_tiles
@pytest.mark.parametrize("size", TILES, ids=str)
@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("clamp", [0, 1])
def test_tile(size: tuple[int, int, int], accumulate: int, clamp: int) -> None:
    """A tile against its formula, with every stride different; lanes out of use are neither read nor written."""
    lanes, rows, vectors = size
    rng = np.random.default_rng(0)
    for used in (1, lanes - 1, lanes):
        width = lanes * (vectors - 1) + used
        a = rng.standard_normal((3, 7, rows, 2)).astype(np.float32)  # runs, steps, rows, every second number
        b = rng.standard_normal((3, 7, width)).astype(np.float32)
        b_runs = [2, 0, 1]  # in another order than those of a
        start = rng.standard_normal(width).astype(np.float32)
        c = rng.standard_normal((rows, width + 1)).astype(np.float32)
        before = c.copy()
        table = np.array(
            [(a[r].ctypes.data - a.ctypes.data, b[b_runs[r]].ctypes.data - b.ctypes.data) for r in range(3)]
        )
        job = np.zeros(microkernel.FIELDS, np.int64)
        job[microkernel.A_ROW], job[microkernel.A_STEP] = a.strides[2], a.strides[1]
        job[microkernel.B_STEP], job[microkernel.C_ROW] = b.strides[1], c.strides[0]
        job[microkernel.RUNS], job[microkernel.STEPS], job[microkernel.TABLE] = 3, 7, table.ctypes.data
        job[microkernel.LAST_LANES], job[microkernel.ACCUMULATE], job[microkernel.CLAMP] = used, accumulate, clamp
        tile = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(microkernel.tile_address(*size))
        tile(*[array.ctypes.data for array in (job, a, b, start, c)])
        expected = np.einsum("rki,rkl->il", a[..., 0].astype(np.float64), b[b_runs].astype(np.float64))
        expected += before[:, :width] if accumulate else start
        assert_close(c[:, :width].astype(np.float64), np.maximum(expected, 0) if clamp else expected, 1e-6)
        assert np.array_equal(c[:, width], before[:, width])


@needs_tiles
@needs_blas
def test_tiles_are_taken_in_float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in [name for name in vars(cpu) if re.fullmatch("[a-z]+[a-z_]*_tiles|winograd_.*", name)]:
        kernel = getattr(cpu, name)
        monkeypatch.setattr(cpu, name, lambda *a, kernel=kernel: (taken.append(a[0].dtype), kernel(*a)))
    for dtype in (np.float64, np.float32):
        x, weight, bias, grad = LARGE["pixels"].arrays(dtype)
        cpu.conv2d_forward(x, weight, bias, *LARGE["pixels"].arguments)
        cpu.conv2d_input_gradient(grad, weight, x.shape, *LARGE["pixels"].arguments)
        cpu.conv2d_weight_gradient(grad, x, weight.shape, *LARGE["pixels"].arguments)
    assert taken == [np.dtype(np.float32)] * 3


@needs_tiles
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    N=st.integers(1, 5), C=st.integers(16, 70), O=st.integers(16, 70), height=st.integers(1, 11),
    width=st.integers(1, 11), padding=st.tuples(st.integers(0, 3), st.integers(0, 3)), relu=st.booleans(),
    chunks=st.sampled_from([1, 2, 3]), threads=st.sampled_from([1, 2, 3]), seed=st.integers(0, 99),
)  # fmt: skip
def test_winograd_equals_plain(N, C, O, height, width, padding, relu, chunks, threads, seed) -> None:
    """Any shape, also those that conv.py would give to another kernel; every element is written, and none beyond."""
    assume(height + 2 * padding[0] > 2 and width + 2 * padding[1] > 2)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, height, width, C), dtype=np.float32)
    weight, bias = rng.standard_normal((O, C, 3, 3), dtype=np.float32), rng.standard_normal(O, dtype=np.float32)
    oh, ow = height + 2 * padding[0] - 2, width + 2 * padding[1] - 2
    grad = rng.standard_normal((N, oh, ow, O), dtype=np.float32)

    def guarded(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        whole = np.full(math.prod(shape) + 64, np.nan, np.float32)
        return whole, whole[32:-32].reshape(shape)

    results = [guarded(shape) for shape in (grad.shape, x.shape, weight.shape)]
    (_, y), (_, dx), (_, dweight) = results
    conv_winograd.winograd_forward(x, weight, bias, y, padding, relu, threads)
    conv_winograd.winograd_input_gradient(grad, weight, dx, padding, threads)
    conv_winograd_filters.winograd_weight_gradient(grad, x, dweight, chunks, padding)
    for whole, _ in results:
        assert np.isnan([whole[:32], whole[-32:]]).all()
    X, W, G = (a.astype(np.float64) for a in (x.transpose(0, 3, 1, 2), weight, grad.transpose(0, 3, 1, 2)))
    geometry = (1, 1), padding, (1, 1), 1
    expected = plain.conv2d_forward(X, W, bias.astype(np.float64), *geometry).transpose(0, 2, 3, 1)
    scale = 3e-7 * np.sqrt(9 * C)  # of numbers about 1
    assert np.abs(y - (np.maximum(expected, 0) if relu else expected)).max() <= 8 * scale
    expected = plain.conv2d_input_gradient(G, W, X.shape, *geometry).transpose(0, 2, 3, 1)
    assert np.abs(dx - expected).max() <= 8 * 3e-7 * np.sqrt(9 * O)
    expected = plain.conv2d_weight_gradient(G, X, W.shape, *geometry)
    assert np.abs(dweight - expected).max() <= 8 * 3e-7 * np.sqrt(N * oh * ow)


@needs_blas
@pytest.mark.parametrize("name", ["pixels", "planes", "pixels 1x1"])
def test_fused_relu(name: str) -> None:
    x, weight, bias, _ = LARGE[name].arrays(np.float32)
    x[0, 0, 5, 5] = np.nan
    y = cpu.conv2d_forward(x, weight, bias, *LARGE[name].arguments)
    clamped = cpu.convolve_fused(x, weight, bias, *LARGE[name].arguments, relu=True)
    assert np.isnan(y).any()
    assert np.array_equal(clamped, np.maximum(y, 0), equal_nan=True)


@needs_tiles
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    N=st.integers(4, 9), C=st.integers(1, 8), O=st.integers(5, 8), height=st.integers(1, 12),
    width=st.integers(4, 40), kernel=st.tuples(st.integers(1, 5), st.integers(2, 5)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    relu=st.booleans(), with_bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_few_channels_and_filters(N, C, O, height, width, kernel, padding, dilation, relu, with_bias, seed) -> None:
    """conv_lanes.py, through conv.py."""
    size = [conv_output_size(s, k, 1, p, d) for s, k, p, d in zip((height, width), kernel, padding, dilation)]
    assume(size[0] > 0 and size[1] > 3)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, C, height, width), dtype=np.float32)
    weight, bias = rng.standard_normal((O, C, *kernel), dtype=np.float32), rng.standard_normal(O, dtype=np.float32)
    arguments = (1, 1), padding, dilation, 1
    got = cpu.convolve_fused(x, weight, bias if with_bias else None, *arguments, relu)
    wide = [a.astype(np.float64) for a in (x, weight, bias)]
    expected = plain.conv2d_forward(*wide[:2], wide[2] if with_bias else None, *arguments)
    expected = np.maximum(expected, 0) if relu else expected
    assert np.abs(got - expected).max() <= 8 * 3e-7 * np.sqrt(C * kernel[0] * kernel[1])
